// SPDX-License-Identifier: AGPL-3.0-only
// A CGI program: started once per request, reads the request from its environment and standard
// input, writes the answer to standard output. Nothing in it knows of Enclave OS.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char* variable(const char* name) {
    const char* value = getenv(name);
    return value != NULL ? value : "";
}

static int not_found(const char* path) {
    printf("Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nnothing at %s\n", path);
    return 0;
}

static int echo(void) {
    printf("Content-Type: application/octet-stream\r\n\r\n");
    char buffer[4096];
    size_t size;
    while ((size = fread(buffer, 1, sizeof buffer, stdin)) > 0) fwrite(buffer, 1, size, stdout);
    return 0;
}

static int greet(void) {
    printf("Content-Type: text/plain; charset=utf-8\r\nX-App: hello-cgi\r\n\r\n");
    printf("Hello from inside the enclave.\n\n");
    static const char* const kNames[] = {"REQUEST_METHOD", "PATH_INFO",       "QUERY_STRING",
                                         "SERVER_NAME",    "SERVER_PROTOCOL", "CONTENT_LENGTH",
                                         "HTTP_USER_AGENT", "GREETING",       "EOS_APP"};
    for (size_t i = 0; i < sizeof kNames / sizeof *kNames; ++i) {
        printf("%s=%s\n", kNames[i], variable(kNames[i]));
    }
    fprintf(stderr, "greeted someone\n");  // goes to the app's log, which its owner can read
    return 0;
}

int main(void) {
    const char* path = variable("PATH_INFO");
    if (strcmp(path, "/") == 0) return greet();
    if (strcmp(path, "/echo") == 0) return echo();
    if (strcmp(path, "/fail") == 0) return 3;  // 502, with the exit code
    return not_found(path);
}
