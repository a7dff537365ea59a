#include "admin/read_all.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Without libcap: the two calls are all there is to it. */
static bool
keep_one_capability(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	const uint32_t bit = CAP_TO_MASK(CAP_DAC_READ_SEARCH);

	data[CAP_TO_INDEX(CAP_DAC_READ_SEARCH)].permitted = bit;
	data[CAP_TO_INDEX(CAP_DAC_READ_SEARCH)].effective = bit;
	data[CAP_TO_INDEX(CAP_DAC_READ_SEARCH)].inheritable = bit;
	return syscall(SYS_capset, &header, data) == 0;
}

bool
read_all_start(struct admin *a)
{
	bool root = geteuid() == 0;

	if (root && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		root = false;
	if (!admin_start(a))
		return false;
	if (root && geteuid() != 0)
		keep_one_capability(); /* what then cannot be read says so itself */
	return true;
}

void
read_all_hand_on(void)
{
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0);
}
