"""What a test of a server needs: the server as a real process, and the contract that every server keeps."""
