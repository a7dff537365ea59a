/* For the tests of net/: certificates made on the spot, temporary directories, blocking clients. */
#ifndef NET_TEST_UTIL_H
#define NET_TEST_UTIL_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

char *test_dir(void); /* a new temporary directory, the caller's */
void test_dir_remove(char *dir);
void test_write_file(const char *path, const char *text);
/* A self-signed certificate for `name` in PEM files. */
void test_make_cert(const char *name, const char *cert_path, const char *key_path);
uint16_t test_free_port(void);

int test_connect(uint16_t port); /* blocking, with a time limit of 10 s; -1 if refused */
bool test_read_line(int fd, char *line, size_t size); /* up to LF, which is kept */
/* Waits up to 10 s for what a condition says. */
#define test_wait_until(condition)                                                                 \
	do {                                                                                       \
		bool holds_ = (condition);                                                         \
		for (int waited_ = 0; !holds_ && waited_ < 6000; waited_++) {                      \
			usleep(10 * 1000);                                                         \
			holds_ = (condition);                                                      \
		}                                                                                  \
		assert_true(holds_);                                                               \
	} while (0)

SSL_CTX *test_client_ctx(void); /* verifies nothing */
/* A blocking TLS client on fd; NULL if the handshake fails. */
SSL *test_tls(SSL_CTX *ctx, int fd, const char *sni, SSL_SESSION *resume);
bool test_tls_read_line(SSL *ssl, char *line, size_t size);
/* The common name of the server's certificate. */
void test_tls_peer_name(SSL *ssl, char *name, size_t size);

#endif
