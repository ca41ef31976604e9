/* A small HTTP service for the tests, linked statically so that its image needs nothing else.
 *
 *   shop serve     answers POST and GET on PORT; `shop check` asks it whether it is healthy, as a HEALTHCHECK does.
 *
 * How it behaves is said by its environment: RELEASE, PORT, BOOT_MS, WORK_MS, SICK, CRASH_MS (ends by itself after so long),
 * ON_TERM (graceful, ignore, exit), SECRET (told at /secret). GET /sicken makes it unhealthy.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static atomic_int busy, ending;
static const char *release_name = "none", *secret = "";
static int work_ms, sick, listener;

static int number(const char *name, int otherwise) {
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}

static void pause_ms(int milliseconds) {
    struct timespec left = {milliseconds / 1000, (milliseconds % 1000) * 1000000L};
    while (nanosleep(&left, &left) && errno == EINTR) {}
}

static int answer(int peer, int status, const char *text, int keep) {
    char out[512];
    int size = snprintf(out, sizeof out, "HTTP/1.1 %d %s\r\ncontent-length: %zu\r\nconnection: %s\r\n\r\n%s", status,
                        status == 200 ? "OK" : "Unavailable", strlen(text), keep ? "keep-alive" : "close", text);
    return send(peer, out, size, MSG_NOSIGNAL) == size;
}

/* One request after the other; bodies are counted and thrown away. */
static void *serve(void *argument) {
    int peer = (int)(long)argument, one = 1;
    char in[8192];
    size_t have = 0;
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (;;) {
        char *end;
        in[have] = 0;
        while (!(end = strstr(in, "\r\n\r\n"))) {
            ssize_t got = have < sizeof in - 1 ? recv(peer, in + have, sizeof in - 1 - have, 0) : 0;
            if (got <= 0) goto done;
            in[have += got] = 0;
        }
        busy++;
        char *length = strcasestr(in, "content-length:");
        size_t body = length && length < end ? (size_t)atoi(length + 15) : 0, head = end + 4 - in;
        int close_after = strcasestr(in, "connection: close") != NULL || ending;
        int health = !strncmp(in, "GET /healthz", 12), told = !strncmp(in, "GET /secret", 11);
        if (!strncmp(in, "GET /sicken", 11)) sick = 1;
        while (have < head + body && have < sizeof in - 1) {
            ssize_t got = recv(peer, in + have, sizeof in - 1 - have, 0);
            if (got <= 0) { busy--; goto done; }
            have += got;
        }
        if (!health) pause_ms(work_ms);
        int sent = answer(peer, health && sick ? 503 : 200, health ? (sick ? "migrations are missing" : "ok") : told ? secret : release_name,
                          !close_after);
        busy--;
        memmove(in, in + head + body, have - head - body);
        have -= head + body;
        if (!sent || close_after) goto done;
    }
done:
    close(peer);
    return NULL;
}

static int check(void) {
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(number("PORT", 8080)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char ask[] = "GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n";
    char in[512] = "";
    if (connect(peer, (void *)&where, sizeof where) || send(peer, ask, sizeof ask - 1, 0) < 0) return puts("nobody listens"), 1;
    if (recv(peer, in, sizeof in - 1, MSG_WAITALL) <= 0) return puts("no answer"), 1;
    char *text = strstr(in, "\r\n\r\n");
    puts(text ? text + 4 : in);
    return strncmp(in, "HTTP/1.1 200", 12) != 0;
}

static void *crash(void *argument) {
    pause_ms((int)(long)argument);
    printf("FATAL out of luck\n");
    _exit(3);
}

/* Ends as ON_TERM says when it is asked to. */
static void *end(void *argument) {
    const char *how = getenv("ON_TERM");
    sigset_t *signals = argument;
    for (int got; !sigwait(signals, &got);) {
        if (how && !strcmp(how, "ignore")) { printf("INFO asked to end, and will not\n"); continue; }
        if (how && !strcmp(how, "exit")) _exit(0);
        ending = 1;
        shutdown(listener, SHUT_RDWR);
        while (busy) pause_ms(5);
        printf("INFO ended\n");
        exit(0);
    }
    return NULL;
}

int main(int count, char **arguments) {
    static sigset_t signals;
    pthread_t thread;
    int one = 1, port = number("PORT", 8080);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count > 1 && !strcmp(arguments[1], "check")) return check();
    if (getenv("RELEASE")) release_name = getenv("RELEASE");
    if (getenv("SECRET")) secret = getenv("SECRET");
    work_ms = number("WORK_MS", 20);
    sick = number("SICK", 0);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    pthread_create(&thread, NULL, end, &signals);
    printf("INFO %s starts as user %d\n", release_name, (int)getuid());
    if (number("CRASH_MS", 0)) pthread_create(&thread, NULL, crash, (void *)(long)number("CRASH_MS", 0));
    pause_ms(number("BOOT_MS", 100));
    listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (bind(listener, (void *)&where, sizeof where) || listen(listener, 1024)) return perror("listen"), 1;
    printf("INFO %s listens on %d\n", release_name, port);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 128 << 10);
    for (;;) {
        int peer = accept(listener, NULL, NULL);
        if (peer < 0 && ending) { pause(); continue; }
        if (peer >= 0 && pthread_create(&thread, &attributes, serve, (void *)(long)peer)) close(peer);
    }
}
