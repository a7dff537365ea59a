#include "admin/maildir_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"

#define BUFFER_BYTES (64 * 1024)
#define ELSEWHERE    ", which only the other server unpacks: use mailadmin import imap"

static const struct {
	struct str magic;
	enum maildir_packing packing;
	const char *why;
} PACKINGS[] = {
	{ { "\x1f\x8b\x08", 3 }, MAILDIR_GZIP, NULL },
	{ { "BZh", 3 }, MAILDIR_UNREADABLE, "packed with bzip2" ELSEWHERE },
	{ { "\xfd"
	    "7zXZ\0",
	      6 },
	    MAILDIR_UNREADABLE, "packed with xz" ELSEWHERE },
	{ { "\x28\xb5\x2f\xfd", 4 }, MAILDIR_UNREADABLE, "packed with zstd" ELSEWHERE },
	{ { "Dovecot-LZ4\r\x2a\x9b\xc5", 15 }, MAILDIR_UNREADABLE, "packed with lz4" ELSEWHERE },
	{ { "CRYPTED\x03\x07", 9 }, MAILDIR_UNREADABLE, "encrypted by mail_crypt" ELSEWHERE },
};

enum maildir_packing
maildir_bytes_packing(struct str start, const char **why_out)
{
	for (size_t i = 0; i < ARRAY_LEN(PACKINGS); i++) {
		if (!str_has_prefix(start, PACKINGS[i].magic))
			continue;
		*why_out = PACKINGS[i].why;
		return PACKINGS[i].packing;
	}
	return MAILDIR_PLAIN;
}

static enum store_err
append_plain(struct append *ap, int fd, const char **problem)
{
	char bytes[BUFFER_BYTES];
	enum store_err err = STORE_OK;
	off_t at = 0;

	while (err == STORE_OK) {
		ssize_t n = pread(fd, bytes, sizeof(bytes), at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			*problem = strerror(errno);
			return STORE_IO;
		}
		if (n == 0)
			break;
		at += n;
		err = append_write(ap, bytes, (size_t)n);
	}
	return err;
}

static enum store_err
append_gzip(struct append *ap, int fd, const char **problem)
{
	char bytes[BUFFER_BYTES];
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	gzFile in = own >= 0 ? gzdopen(own, "rb") : NULL;
	enum store_err err = STORE_OK;
	int64_t total = 0;
	int n;

	if (in == NULL) {
		if (own >= 0)
			close(own);
		*problem = strerror(errno);
		return STORE_IO;
	}
	while (err == STORE_OK && (n = gzread(in, bytes, sizeof(bytes))) != 0) {
		total += n;
		if (n < 0 || total > MAILDIR_BYTES_MAX) {
			*problem = n < 0 ? "damaged gzip data" : "larger than 1 GB when unpacked";
			err = STORE_IO;
		} else {
			err = append_write(ap, bytes, (size_t)n);
		}
	}
	if (gzclose(in) != Z_OK && err == STORE_OK) { /* cut short */
		*problem = "damaged gzip data";
		err = STORE_IO;
	}
	return err;
}

enum store_err
maildir_bytes_append(
    struct append *ap, struct append_message_info *info, int fd, const char **problem_out)
{
	char start[16];
	ssize_t n = pread(fd, start, sizeof(start), 0);
	enum maildir_packing packing;
	struct stat st;
	enum store_err err;

	*problem_out = NULL;
	if (n < 0 || fstat(fd, &st) < 0) {
		*problem_out = strerror(errno);
		return STORE_IO;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > MAILDIR_BYTES_MAX) {
		*problem_out = "no plain file, or larger than 1 GB";
		return STORE_IO;
	}
	packing = maildir_bytes_packing((struct str){ start, (size_t)n }, problem_out);
	if (packing == MAILDIR_UNREADABLE)
		return STORE_IO;
	info->internaldate_s = st.st_mtim.tv_sec >= 0 ? st.st_mtim.tv_sec : 0;
	info->announced_bytes = (uint64_t)st.st_size;
	err = append_message(ap, info);
	if (err != STORE_OK)
		return err;
	return packing == MAILDIR_GZIP ? append_gzip(ap, fd, problem_out)
				       : append_plain(ap, fd, problem_out);
}
