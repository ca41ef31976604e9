"""What every opsroom server needs and no domain owns."""

import os

# fastmcp reads its settings when it is first imported: it must not call home, nor obey a .env file of whoever's folder this is.
os.environ["FASTMCP_CHECK_FOR_UPDATES"] = "off"
os.environ["FASTMCP_ENV_FILE"] = os.devnull
