/*
 * The bench's receiver: HTTP/1.1 with keep-alive over plain TCP and TLS, one thread, epoll.
 *
 *     receiver FILE CAPACITY HOSTS CERTIFICATE KEY
 *
 * Listens on 127.0.0.1 and HOSTS - 1 addresses from 127.0.1.1 on, on one port for plain HTTP and on another for TLS;
 * prints both ports and ends when its standard input does. What came is written to FILE,
 * as tally.py describes it. The path decides the answer: /hang none, /fail 500, /switch 503 while the file says so,
 * all others 200.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

enum { COUNT, DOWN, MALFORMED, ACCEPTED, OPEN, HEADER_WORDS = 8, RECORD_WORDS = 4, MOST_BYTES = 1 << 20 };

struct peer {
    int fd;
    int listens;
    int tls;
    SSL *session; /* of a TLS connection */
    size_t used, room;
    char *data;
};

static volatile uint64_t *file;
static uint64_t capacity;
static int epoll;
static SSL_CTX *context;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(struct peer *peer)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, peer->fd, &event))
        fail("epoll_ctl");
}

static struct peer *new_peer(int fd, int tls)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        fail("calloc");
    peer->fd = fd;
    peer->tls = tls;
    return peer;
}

static void hang_up(struct peer *peer)
{
    if (peer->session)
        SSL_free(peer->session);
    close(peer->fd);
    free(peer->data);
    free(peer);
    file[OPEN]--;
}

static int listen_at(uint32_t address, int *port, int tls)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(address)};
    socklen_t size = sizeof name;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (void *)&name, size) || listen(fd, 4096) || getsockname(fd, (void *)&name, &size))
        fail("listen");
    *port = ntohs(name.sin_port);
    struct peer *peer = new_peer(fd, tls);
    peer->listens = 1;
    watch(peer);
    return fd;
}

static int listen_everywhere(int hosts, int tls)
{
    int port = 0;
    listen_at(INADDR_LOOPBACK, &port, tls);
    for (int host = 1; host < hosts; host++)
        listen_at((127u << 24) + ((1 + (host - 1) / 250) << 8) + 1 + (host - 1) % 250, &port, tls);
    return port;
}

static void welcome(struct peer *listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct peer *peer = new_peer(fd, listener->tls);
        file[ACCEPTED]++;
        file[OPEN]++;
        if (listener->tls) {
            SSL *session = SSL_new(context);
            SSL_set_fd(session, fd);
            SSL_set_accept_state(session);
            peer->session = session;
        }
        watch(peer);
    }
}

static void note(uint64_t identity, uint64_t number, uint64_t status)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    volatile uint64_t *record = file + HEADER_WORDS + file[COUNT] % capacity * RECORD_WORDS;
    record[0] = identity;
    record[1] = (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    record[2] = number;
    record[3] = status;
    __atomic_store_n(&file[COUNT], file[COUNT] + 1, __ATOMIC_RELEASE);
}

static uint64_t hash(const char *text, const char *end)
{
    uint64_t value = 14695981039346656037u; /* FNV-1a */
    while (text < end && *text != '\r')
        value = (value ^ (unsigned char)*text++) * 1099511628211u;
    return value;
}

static uint64_t number_in(const char *body, size_t length)
{
    const char *found = memmem(body, length, "\"n\":", 4), *end = body + length;
    uint64_t number = 0;
    if (!found)
        return 0;
    for (found += 4; found < end && (*found == ' ' || *found == '"'); found++)
        ;
    for (; found < end && *found >= '0' && *found <= '9'; found++)
        number = number * 10 + (*found - '0');
    return number;
}

static int send_all(struct peer *peer, const char *text, size_t size)
{
    if (peer->session)
        return SSL_write(peer->session, text, size) == (int)size;
    return send(peer->fd, text, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static int answer(struct peer *peer, uint64_t status)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    static const char failed[] = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
    static const char down[] = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    switch (status) {
    case 0: return 1;
    case 200: return send_all(peer, ok, sizeof ok - 1);
    case 500: return send_all(peer, failed, sizeof failed - 1);
    default: return send_all(peer, down, sizeof down - 1);
    }
}

static uint64_t status_for(const char *target)
{
    if (!strncmp(target, "/hang", 5))
        return 0;
    if (!strncmp(target, "/fail", 5))
        return 500;
    return !strncmp(target, "/switch", 7) && file[DOWN] ? 503 : 200;
}

/* Takes one whole request out of what was read: 1 if there was one, 0 if not yet, -1 if it can't be one. */
static int take(struct peer *peer)
{
    char *end = memmem(peer->data, peer->used, "\r\n\r\n", 4);
    if (!end)
        return 0;
    char *target = memchr(peer->data, ' ', end - peer->data), *line = peer->data;
    uint64_t delivery = 0, message = 0;
    long length = -1;
    while (line < end && (line = memmem(line, end + 2 - line, "\r\n", 2)) && (line += 2) < end) {
        if (!strncasecmp(line, "content-length: ", 16))
            length = strtol(line + 16, NULL, 10);
        else if (!strncasecmp(line, "hookpost-delivery: ", 19))
            delivery = hash(line + 19, end);
        else if (!strncasecmp(line, "webhook-id: ", 12))
            message = hash(line + 12, end);
    }
    if (!target || length < 0 || length > MOST_BYTES || !(delivery | message))
        return -1;
    size_t whole = end + 4 - peer->data + length;
    if (peer->used < whole)
        return 0;
    uint64_t status = status_for(target + 1);
    note(delivery ? delivery : message, number_in(end + 4, length), status);
    memmove(peer->data, peer->data + whole, peer->used - whole);
    peer->used -= whole;
    return answer(peer, status) ? 1 : -1;
}

/* Bytes read; 0 if none are there yet, -1 at the end. */
static ssize_t receive(struct peer *peer)
{
    if (peer->room - peer->used < 2048) {
        peer->room = peer->room ? peer->room * 2 : 4096;
        if (peer->room > 2 * MOST_BYTES || !(peer->data = realloc(peer->data, peer->room)))
            return -1;
    }
    ssize_t size;
    if (peer->session) {
        ERR_clear_error();
        size = SSL_read(peer->session, peer->data + peer->used, peer->room - peer->used);
        return size > 0 ? size : SSL_get_error(peer->session, size) == SSL_ERROR_WANT_READ ? 0 : -1;
    }
    size = read(peer->fd, peer->data + peer->used, peer->room - peer->used);
    return size > 0 ? size : -1;
}

static void serve(struct peer *peer)
{
    do {
        ssize_t size = receive(peer);
        if (size == 0)
            return;
        peer->used += size > 0 ? size : 0;
        int taken = size < 0 ? -1 : 1;
        while (taken == 1)
            taken = take(peer);
        if (taken < 0) {
            file[MALFORMED] += size > 0;
            hang_up(peer);
            return;
        }
    } while (peer->session); /* OpenSSL may hold more than epoll knows of */
}

int main(int count, char **arguments)
{
    if (count != 6)
        return 2;
    capacity = strtoull(arguments[2], NULL, 10);
    int hosts = atoi(arguments[3]), fd = open(arguments[1], O_RDWR);
    size_t size = (HEADER_WORDS + capacity * RECORD_WORDS) * sizeof *file;
    if (fd < 0 || (file = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
        fail(arguments[1]);
    signal(SIGPIPE, SIG_IGN);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_use_certificate_chain_file(context, arguments[4]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, arguments[5], SSL_FILETYPE_PEM) != 1)
        fail("certificate");
    int plain = listen_everywhere(hosts, 0), tls = listen_everywhere(hosts, 1);
    struct peer *input = new_peer(STDIN_FILENO, 0);
    watch(input);
    printf("%d %d\n", plain, tls);
    fflush(stdout);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, -1);
        for (int at = 0; at < ready; at++) {
            struct peer *peer = events[at].data.ptr;
            if (peer == input)
                return 0;
            if (peer->listens)
                welcome(peer);
            else
                serve(peer);
        }
    }
}
