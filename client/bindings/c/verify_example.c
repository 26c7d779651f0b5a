/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a program in C does with libenclaveos_verify.
 *
 * usage: verify_example evidence POLICY COLLATERAL FILE REPORT_DATA_HEX TIME
 *        verify_example get      POLICY COLLATERAL ROOT HOST PORT NAME PATH
 *
 * COLLATERAL is a file, or "-" for what the server staples.
 * Prints the verdict or the answer, and exits with the verdict's exit code. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/bindings/c/enclaveos_verify.h"

#define MAX_FILE_BYTES (1024 * 1024)
#define TIMEOUT_MS 30000

struct file {
    char* bytes;
    size_t size;
};

static struct file read_file(const char* path) {
    FILE* in = fopen(path, "rb");
    struct file out = {malloc(MAX_FILE_BYTES), 0};
    if (in == NULL || out.bytes == NULL) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    out.size = fread(out.bytes, 1, MAX_FILE_BYTES, in);
    fclose(in);
    return out;
}

/* Ends the program if no verdict was reached. Takes the error's address, because arguments are
 * evaluated in any order, also before the call that makes the error. */
static int must(int status, eos_error** error) {
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", eos_error_code(*error), eos_error_message(*error));
        exit(1);
    }
    return status;
}

static eos_verifier* make_verifier(const char* policy_path, const char* collateral_path) {
    struct file policy = read_file(policy_path);
    eos_verifier* verifier = NULL;
    eos_error* error = NULL;
    must(eos_verifier_create(policy.bytes, policy.size, &verifier, &error), &error);
    free(policy.bytes);
    if (strcmp(collateral_path, "-") == 0) {
        must(eos_verifier_set_stapled(verifier, EOS_STAPLED_WITHOUT_OWN, &error), &error);
        return verifier;
    }
    struct file collateral = read_file(collateral_path);
    must(eos_verifier_set_collateral(verifier, collateral.bytes, collateral.size, &error), &error);
    free(collateral.bytes);
    return verifier;
}

static int verify_evidence(char** arguments) {
    eos_verifier* verifier = make_verifier(arguments[0], arguments[1]);
    struct file evidence = read_file(arguments[2]);
    unsigned char report_data[64] = {0};
    for (size_t i = 0; i < sizeof report_data; ++i) {
        unsigned byte = 0;
        if (sscanf(arguments[3] + 2 * i, "%2x", &byte) != 1) return 2;
        report_data[i] = (unsigned char)byte;
    }
    eos_binding binding = {.struct_size = sizeof binding,
                           .form = EOS_BINDING_REPORT_DATA,
                           .report_data = report_data,
                           .report_data_size = sizeof report_data};
    eos_verdict* verdict = NULL;
    eos_error* error = NULL;
    int status = must(eos_verify_evidence(verifier, evidence.bytes, evidence.size, &binding,
                                          strtoll(arguments[4], NULL, 10), &verdict, &error),
                      &error);
    fputs(eos_verdict_text(verdict), stdout);
    eos_verdict_destroy(verdict);
    eos_verifier_destroy(verifier);
    free(evidence.bytes);
    return status;
}

static int get(char** arguments) {
    eos_verifier* verifier = make_verifier(arguments[0], arguments[1]);
    struct file root = read_file(arguments[2]);
    eos_error* error = NULL;
    must(eos_verifier_set_anchors(verifier, root.bytes, root.size, &error), &error);
    eos_endpoint endpoint = {.struct_size = sizeof endpoint,
                             .host = arguments[3],
                             .port = (uint16_t)strtoul(arguments[4], NULL, 10),
                             .server_name = arguments[5],
                             .mode = EOS_MODE_EXPORTER,
                             .timeout_ms = TIMEOUT_MS};
    eos_connection* connection = NULL;
    eos_verdict* verdict = NULL;
    int status =
        must(eos_connect(verifier, &endpoint, (int64_t)time(NULL), &connection, &verdict, &error),
             &error);
    fprintf(stderr, "%s\n", eos_verdict_summary(verdict));
    if (connection != NULL) { /* not rejected: only now is anything sent */
        char buffer[4096];
        int size = snprintf(buffer, sizeof buffer,
                            "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                            arguments[6], arguments[5]);
        if (size < 0 || (size_t)size >= sizeof buffer) return 2;
        must(eos_connection_write(connection, buffer, (size_t)size, TIMEOUT_MS, &error), &error);
        size_t count = 0;
        do {
            must(eos_connection_read(connection, buffer, sizeof buffer, &count, TIMEOUT_MS, &error),
                 &error);
            fwrite(buffer, 1, count, stdout);
        } while (count > 0);
    }
    eos_connection_close(connection);
    eos_verdict_destroy(verdict);
    eos_verifier_destroy(verifier);
    free(root.bytes);
    return status;
}

int main(int count, char** arguments) {
    if (eos_verify_abi_version() != EOS_VERIFY_ABI_VERSION) return 2;
    if (count == 7 && strcmp(arguments[1], "evidence") == 0) return verify_evidence(arguments + 2);
    if (count == 9 && strcmp(arguments[1], "get") == 0) return get(arguments + 2);
    fputs("usage: see verify_example.c\n", stderr);
    return 2;
}
