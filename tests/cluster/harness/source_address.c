// Gives the connections that a process opens over IPv4 the source address SOURCE_ADDRESS, for LD_PRELOAD: the tests tell by it
// which process has connected.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int connect(int socket, const struct sockaddr *address, socklen_t length) {
    const char *source = getenv("SOURCE_ADDRESS");
    struct sockaddr_in local = {.sin_family = AF_INET};
    if (source != NULL && address->sa_family == AF_INET && inet_pton(AF_INET, source, &local.sin_addr) == 1) {
        // The port is chosen by the system. A socket that is bound already keeps its address.
        (void)bind(socket, (const struct sockaddr *)&local, sizeof(local));
    }
    return (int)syscall(SYS_connect, socket, address, length);
}
