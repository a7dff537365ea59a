/* Passes everything on to SQLite's own VFS but for reads and writes of whole pages, in the main file and in its journal.
 *
 * SQLite sees the reserved bytes at the end of each page as zeros: the checksum is in the file only.  So the checksums
 * that SQLite itself keeps of frames in the journal, which it looks at after a crash only, hold as well. */
#include "store/sql_checksum.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PAGE  SQL_CHECKSUM_PAGE_BYTES
#define HEAD  32 /* of a journal, before its frames; "WAL-index format" has both */
#define FRAME 24 /* in front of each page there */
#define WORDS ((PAGE - SQL_CHECKSUM_BYTES) / 8)

struct file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct */
};

static sqlite3_file *
real_of(sqlite3_file *f)
{
	return ((struct file *)(void *)f)->real;
}

/* Two lanes, each step of which can be undone: no change of one word can be made good by the same lane. */
static uint64_t
sum_of(const unsigned char *page, sqlite3_int64 offset)
{
	uint64_t a = 0x9e3779b97f4a7c15u ^ (uint64_t)offset, b = 0xc2b2ae3d27d4eb4fu, w;

	for (size_t i = 0; i < WORDS; i += 2) {
		memcpy(&w, page + i * 8, 8);
		a = (a ^ w) * 0x9fb21c651e98df25u;
		a ^= a >> 29;
		if (i + 1 == WORDS)
			break;
		memcpy(&w, page + (i + 1) * 8, 8);
		b = (b ^ w) * 0xd6e8feb86659fd93u;
		b ^= b >> 31;
	}
	return a ^ (b << 23 | b >> 41);
}

/* The bytes of a page that stands at `offset` in its file, as SQLite is to see them. */
static int
check_page(unsigned char *page, sqlite3_int64 offset)
{
	uint64_t want = sum_of(page, offset), have;

	memcpy(&have, page + PAGE - SQL_CHECKSUM_BYTES, sizeof(have));
	memset(page + PAGE - SQL_CHECKSUM_BYTES, 0, SQL_CHECKSUM_BYTES);
	return want == have ? SQLITE_OK : SQLITE_IOERR_DATA;
}

static int
write_page(sqlite3_file *f, const void *bytes, sqlite3_int64 offset)
{
	static const unsigned char NOTHING[SQL_CHECKSUM_BYTES];
	unsigned char page[PAGE];
	uint64_t sum;

	memcpy(page, bytes, PAGE);
	if (memcmp(page + PAGE - SQL_CHECKSUM_BYTES, NOTHING, SQL_CHECKSUM_BYTES) != 0)
		return SQLITE_IOERR_WRITE; /* no bytes were reserved */
	sum = sum_of(page, offset);
	memcpy(page + PAGE - SQL_CHECKSUM_BYTES, &sum, sizeof(sum));
	return real_of(f)->pMethods->xWrite(real_of(f), page, PAGE, offset);
}

/* --- the main file ----------------------------------------------------------------------------- */

static bool
is_page(int len, sqlite3_int64 offset)
{
	return len == PAGE && offset % PAGE == 0;
}

static int
on_read(sqlite3_file *f, void *bytes, int len, sqlite3_int64 offset)
{
	int rc = real_of(f)->pMethods->xRead(real_of(f), bytes, len, offset);

	if (rc == SQLITE_IOERR_SHORT_READ && is_page(len, offset))
		return SQLITE_IOERR_DATA; /* of a file cut short; SQLite would go on with a page of zeros */
	return rc == SQLITE_OK && is_page(len, offset) ? check_page(bytes, offset) : rc;
}

static int
on_write(sqlite3_file *f, const void *bytes, int len, sqlite3_int64 offset)
{
	if (is_page(len, offset))
		return write_page(f, bytes, offset);
	return real_of(f)->pMethods->xWrite(real_of(f), bytes, len, offset);
}

/* --- the journal ------------------------------------------------------------------------------- */

static bool
is_journal_page(int len, sqlite3_int64 offset)
{
	return len == PAGE && offset >= HEAD + FRAME && (offset - HEAD) % (FRAME + PAGE) == FRAME;
}

/* What stands there is read as whole frames where SQLite looks how far it goes. */
static bool
is_journal_frame(int len, sqlite3_int64 offset)
{
	return len == FRAME + PAGE && offset >= HEAD && (offset - HEAD) % (FRAME + PAGE) == 0;
}

static int
on_journal_read(sqlite3_file *f, void *bytes, int len, sqlite3_int64 offset)
{
	int rc = real_of(f)->pMethods->xRead(real_of(f), bytes, len, offset);

	if (rc == SQLITE_OK && is_journal_page(len, offset))
		rc = check_page(bytes, offset);
	else if (rc == SQLITE_OK && is_journal_frame(len, offset))
		rc = check_page((unsigned char *)bytes + FRAME, offset + FRAME);
	return rc;
}

static int
on_journal_write(sqlite3_file *f, const void *bytes, int len, sqlite3_int64 offset)
{
	if (is_journal_page(len, offset))
		return write_page(f, bytes, offset);
	return real_of(f)->pMethods->xWrite(real_of(f), bytes, len, offset);
}

/* --- what is passed on ------------------------------------------------------------------------- */

static int
on_close(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}

static int
on_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int
on_sync(sqlite3_file *f, int flags)
{
	return real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int
on_file_size(sqlite3_file *f, sqlite3_int64 *size_out)
{
	return real_of(f)->pMethods->xFileSize(real_of(f), size_out);
}

static int
on_lock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int
on_unlock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int
on_check_reserved(sqlite3_file *f, int *reserved_out)
{
	return real_of(f)->pMethods->xCheckReservedLock(real_of(f), reserved_out);
}

static int
on_control(sqlite3_file *f, int op, void *arg)
{
	return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int
on_sector_size(sqlite3_file *f)
{
	return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int
on_characteristics(sqlite3_file *f)
{
	return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int
on_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **memory_out)
{
	return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, memory_out);
}

static int
on_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}

static void
on_shm_barrier(sqlite3_file *f)
{
	real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int
on_shm_unmap(sqlite3_file *f, int delete)
{
	return real_of(f)->pMethods->xShmUnmap(real_of(f), delete);
}

/* What is no matter of checksums. */
#define HANDED_ON                                                                                  \
	.xClose = on_close, .xTruncate = on_truncate, .xSync = on_sync, .xFileSize = on_file_size, \
	.xLock = on_lock, .xUnlock = on_unlock, .xCheckReservedLock = on_check_reserved,           \
	.xFileControl = on_control, .xSectorSize = on_sector_size,                                 \
	.xDeviceCharacteristics = on_characteristics

/* Version 2: without xFetch, which would read past us. */
static const sqlite3_io_methods METHODS = {
	.iVersion = 2,
	HANDED_ON,
	.xRead = on_read,
	.xWrite = on_write,
	.xShmMap = on_shm_map,
	.xShmLock = on_shm_lock,
	.xShmBarrier = on_shm_barrier,
	.xShmUnmap = on_shm_unmap,
};

static const sqlite3_io_methods JOURNAL_METHODS = {
	.iVersion = 1,
	HANDED_ON,
	.xRead = on_journal_read,
	.xWrite = on_journal_write,
};

static sqlite3_vfs *real_vfs; /* set once, by register_vfs() */
static sqlite3_vfs checksum_vfs;

/* Temporary files and journals of the other kind are SQLite's own: they are opened past us. */
static int
on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *flags_out)
{
	struct file *file = (struct file *)(void *)f;
	int rc;

	(void)vfs;
	if ((flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) == 0)
		return real_vfs->xOpen(real_vfs, name, f, flags, flags_out);
	file->base.pMethods = NULL;
	file->real = (sqlite3_file *)(void *)(file + 1);
	memset(file->real, 0, (size_t)real_vfs->szOsFile);
	rc = real_vfs->xOpen(real_vfs, name, file->real, flags, flags_out);
	if (file->real->pMethods != NULL)
		file->base.pMethods = (flags & SQLITE_OPEN_WAL) != 0 ? &JOURNAL_METHODS : &METHODS;
	return rc;
}

static void
register_vfs(void)
{
	real_vfs = sqlite3_vfs_find(NULL);
	if (real_vfs == NULL)
		abort();
	checksum_vfs = *real_vfs;
	checksum_vfs.pNext = NULL;
	checksum_vfs.zName = "sanger-checksum";
	checksum_vfs.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
	checksum_vfs.xOpen = on_open;
	if (sqlite3_vfs_register(&checksum_vfs, 0) != SQLITE_OK)
		abort();
}

const char *
sql_checksum_vfs(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, register_vfs);
	return checksum_vfs.zName;
}
