/* What crashes and other programs leave in an account, beside the mail. */
#ifndef STORE_ACCOUNT_CLEAN_H
#define STORE_ACCOUNT_CLEAN_H

#include <stdbool.h>
#include <stddef.h>

#include "store/account.h"

#define ACCOUNT_CORRUPT_KEEP_S (30 * STORE_DAY_S) /* an index that was set aside; it is a cache */

struct account_cleaned {
	size_t
	    tmp_files; /* in tmp/, and small files half replaced: older than FOLDER_TMP_MAX_AGE_S */
	size_t indexes; /* damaged ones */
};
/* Removes them from all folders, and finishes what a killed process left half done (folder_clean()).  dry_run: only
 * counts. */
enum store_err account_clean(struct account *acct, bool dry_run, struct account_cleaned *out);

#endif
