/* Accounts as CSV: what `account import-csv` reads, without passwords. */
#ifndef ADMIN_ACCOUNT_CSV_H
#define ADMIN_ACCOUNT_CSV_H

#include "admin/command.h"

enum admin_status account_csv_print(struct admin *a, const struct account_row *rows, size_t count);

#endif
