/* Every number here has one writer: the worker whose row it is in.  Readers add the rows up.  A worker
 * first claims and then counts, so two that claim the last place at once both step back, and the
 * limit is never exceeded.  The parent clears the row of a worker it has reaped. */
#include "net/limits.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#include "base/mem.h"

#define CLAIMS_MAX     4096 /* connections before login per worker */
#define LOGIN_SETS_LOG 12   /* sets of LOGIN_WAYS entries each */
#define LOGIN_SETS     (1 << LOGIN_SETS_LOG)
#define LOGIN_WAYS     4
#define LOGIN_REMEMBER 4 /* wrong passwords of one user that do not count again */
#define KEY_BYTES      32
#define YIELD_AHEAD    4 /* connections that a worker may have more than another */
#define FAILURES_MAX   10000

struct row { /* one worker's */
	atomic_bool accepting;
	atomic_uint connections; /* at all listeners */
	atomic_uint total[NET_LIMITS_LISTENERS_MAX];
	atomic_uint reserved[NET_LIMITS_LISTENERS_MAX]; /* of total: from reserved_for */
	atomic_uint claims_top;                         /* claims in use are below */
	_Atomic uint64_t claim[CLAIMS_MAX];             /* address key, 0: free */
	atomic_uchar claim_listener[CLAIMS_MAX];
};

struct login {                  /* an address that failed, or one user from there */
	_Atomic uint64_t key;   /* 0: free */
	_Atomic uint64_t state; /* failures << 32 | second of the last one */
	atomic_uint digest[LOGIN_REMEMBER];
};

struct net_limits {
	struct net_limits_listener listeners[NET_LIMITS_LISTENERS_MAX];
	size_t listener_count;
	atomic_uint rows_top; /* rows that were ever in use are below */
	unsigned char key[KEY_BYTES];
	atomic_uint login_free_failures;
	_Atomic uint64_t login_delay_max_ms;
	struct row rows[NET_LIMITS_WORKERS_MAX];
	struct login logins[LOGIN_SETS][LOGIN_WAYS];
};

struct net_limits *
net_limits_new(const struct net_limits_listener *listeners, size_t count)
{
	struct net_limits *l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (l == MAP_FAILED || count > NET_LIMITS_LISTENERS_MAX ||
	    getrandom(l->key, sizeof(l->key), 0) != sizeof(l->key))
		abort(); /* out of memory */
	for (size_t i = 0; i < count; i++) {
		l->listeners[i] = listeners[i];
		if (listeners[i].total_max == 0)
			l->listeners[i].total_max = NET_LISTENER_TOTAL_MAX;
	}
	l->listener_count = count;
	net_limits_login_policy(l, NET_LOGIN_FREE_FAILURES, NET_LOGIN_DELAY_MAX_MS);
	return l;
}

void
net_limits_free(struct net_limits *l)
{
	if (l != NULL)
		munmap(l, sizeof(*l));
}

/* IPv4: the address; IPv6: its /64, which is one customer.  Never 0. */
static uint64_t
address_key(const struct net_ip *ip)
{
	uint64_t key = 0;
	size_t from = net_ip_is_v4(ip) ? 8 : 0;

	for (size_t i = from; i < from + 8; i++)
		key = key << 8 | ip->b[i];
	return key != 0 ? key : 1; /* ::/64 */
}

static unsigned
count_total(const struct net_limits *l, unsigned listener, bool reserved)
{
	unsigned n = 0;

	for (size_t w = 0; w < l->rows_top; w++)
		n += reserved ? l->rows[w].reserved[listener] : l->rows[w].total[listener];
	return n;
}

static unsigned
count_address(const struct net_limits *l, unsigned listener, uint64_t key)
{
	unsigned n = 0;

	for (size_t w = 0; w < l->rows_top; w++) {
		const struct row *row = &l->rows[w];

		for (size_t i = 0, top = row->claims_top; i < top; i++)
			if (row->claim[i] == key && row->claim_listener[i] == listener)
				n++;
	}
	return n;
}

/* 0 if this worker's claims are all taken; else the place + 1. */
static uint32_t
claim_address(struct row *row, unsigned listener, uint64_t key)
{
	for (uint32_t i = 0; i < CLAIMS_MAX; i++) {
		if (row->claim[i] != 0)
			continue;
		row->claim_listener[i] = (unsigned char)listener;
		row->claim[i] = key;
		if (i >= row->claims_top)
			row->claims_top = i + 1;
		return i + 1;
	}
	return 0;
}

static void
drop_claim(struct row *row, struct net_limits_slot *slot)
{
	unsigned top = row->claims_top;

	if (slot->address_slot == 0)
		return;
	row->claim[slot->address_slot - 1] = 0;
	while (top > 0 && row->claim[top - 1] == 0)
		top--;
	row->claims_top = top;
	slot->address_slot = 0;
}

/* With this connection counted already. */
static bool
total_exceeded(const struct net_limits *l, unsigned listener, bool reserved)
{
	const struct net_limits_listener *lim = &l->listeners[listener];
	unsigned total = count_total(l, listener, false), others;

	if (total > lim->total_max)
		return true;
	others = total - count_total(l, listener, true);
	return !reserved && lim->reserved_for != NULL && others + lim->reserved > lim->total_max;
}

enum net_limit
net_limits_connect(struct net_limits *l, unsigned worker, unsigned listener,
    const struct net_ip *ip, struct net_limits_slot *slot_out)
{
	const struct net_limits_listener *lim = &l->listeners[listener];
	struct row *row = &l->rows[worker];
	enum net_limit result = NET_LIMIT_OK;
	uint64_t key;

	*slot_out =
	    (struct net_limits_slot){ (uint16_t)worker, (uint16_t)listener, true, false, 0 };
	slot_out->reserved =
	    ip != NULL && lim->reserved_for != NULL && net_cidr_list_match(lim->reserved_for, ip);
	row->total[listener]++;
	row->connections++;
	if (slot_out->reserved)
		row->reserved[listener]++;
	if (total_exceeded(l, listener, slot_out->reserved)) {
		result = NET_LIMIT_TOTAL;
	} else if (ip != NULL && !slot_out->reserved && lim->per_address_max > 0) {
		key = address_key(ip);
		slot_out->address_slot = claim_address(row, listener, key);
		if (slot_out->address_slot == 0)
			result = NET_LIMIT_TOTAL;
		else if (count_address(l, listener, key) > lim->per_address_max)
			result = NET_LIMIT_ADDRESS;
	}
	if (result != NET_LIMIT_OK)
		net_limits_disconnect(l, slot_out);
	return result;
}

void
net_limits_logged_in(struct net_limits *l, struct net_limits_slot *slot)
{
	drop_claim(&l->rows[slot->worker], slot);
}

enum net_limit
net_limits_logged_out(struct net_limits *l, const struct net_ip *ip, struct net_limits_slot *slot)
{
	const struct net_limits_listener *lim = &l->listeners[slot->listener];

	if (!slot->held || slot->address_slot != 0 || ip == NULL || slot->reserved ||
	    lim->per_address_max == 0)
		return NET_LIMIT_OK;
	slot->address_slot = claim_address(&l->rows[slot->worker], slot->listener, address_key(ip));
	if (slot->address_slot == 0)
		return NET_LIMIT_TOTAL;
	return count_address(l, slot->listener, address_key(ip)) > lim->per_address_max
		   ? NET_LIMIT_ADDRESS
		   : NET_LIMIT_OK;
}

void
net_limits_disconnect(struct net_limits *l, struct net_limits_slot *slot)
{
	struct row *row = &l->rows[slot->worker];

	if (!slot->held)
		return;
	drop_claim(row, slot);
	if (slot->reserved)
		row->reserved[slot->listener]--;
	row->total[slot->listener]--;
	row->connections--;
	slot->held = false;
}

void
net_limits_worker_gone(struct net_limits *l, unsigned worker)
{
	struct row *row = &l->rows[worker];

	for (size_t i = 0; i < NET_LIMITS_LISTENERS_MAX; i++)
		row->total[i] = row->reserved[i] = 0;
	for (size_t i = 0; i < CLAIMS_MAX; i++)
		row->claim[i] = 0;
	row->claims_top = 0;
	row->connections = 0;
	row->accepting = false;
}

void
net_limits_accepting(struct net_limits *l, unsigned worker, bool accepting)
{
	unsigned top = l->rows_top;

	while (top <= worker && !atomic_compare_exchange_weak(&l->rows_top, &top, worker + 1))
		;
	l->rows[worker].accepting = accepting;
}

bool
net_limits_should_yield(const struct net_limits *l, unsigned worker)
{
	unsigned least = l->rows[worker].connections, mine = least;

	for (size_t w = 0; w < l->rows_top; w++)
		if (l->rows[w].accepting && l->rows[w].connections < least)
			least = l->rows[w].connections;
	return mine > least + least / 8 + YIELD_AHEAD;
}

size_t
net_limits_connections(const struct net_limits *l, unsigned listener)
{
	return count_total(l, listener, false);
}

/* --- failed logins ---  Two workers that write one entry at the same time may lose a failure;
 * that does no harm. */

static uint32_t
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint32_t)ts.tv_sec;
}

static unsigned
failures(const struct login *e, uint32_t now)
{
	uint64_t state = e->state;
	uint32_t age = now - (uint32_t)state;

	return age < NET_LOGIN_FORGET_S ? (unsigned)(state >> 32) : 0;
}

static struct login *
login_set(struct net_limits *l, uint64_t key)
{
	return l->logins[(key * 0x9e3779b97f4a7c15u) >> (64 - LOGIN_SETS_LOG)];
}

static struct login *
login_find(struct net_limits *l, uint64_t key)
{
	struct login *set = login_set(l, key);

	for (size_t i = 0; i < LOGIN_WAYS; i++)
		if (set[i].key == key)
			return &set[i];
	return NULL;
}

/* The key's entry; a new one takes the place with the fewest failures. */
static struct login *
login_get(struct net_limits *l, uint64_t key, uint32_t now)
{
	struct login *e = login_find(l, key), *set = login_set(l, key);

	if (e != NULL)
		return e;
	e = &set[0];
	for (size_t i = 1; i < LOGIN_WAYS; i++)
		if (failures(&set[i], now) < failures(e, now))
			e = &set[i];
	e->state = 0;
	for (size_t i = 0; i < LOGIN_REMEMBER; i++)
		e->digest[i] = 0;
	e->key = key;
	return e;
}

void
net_limits_login_policy(struct net_limits *l, unsigned free_failures, uint64_t delay_max_ms)
{
	l->login_free_failures = free_failures;
	l->login_delay_max_ms = delay_max_ms;
}

uint64_t
net_limits_login_delay_ms(struct net_limits *l, const struct net_ip *ip)
{
	const struct login *e = ip != NULL ? login_find(l, address_key(ip)) : NULL;
	unsigned n = e != NULL ? failures(e, now_s()) : 0;
	uint64_t delay_ms = NET_LOGIN_DELAY_FIRST_MS, most_ms = l->login_delay_max_ms;
	unsigned free_failures = l->login_free_failures;

	if (n < free_failures)
		return 0;
	for (n -= free_failures; n > 0 && delay_ms < most_ms; n--)
		delay_ms *= 2;
	return delay_ms < most_ms ? delay_ms : most_ms;
}

/* Keyed, so that nothing can be learnt from the table; never 0. */
static uint64_t
digest_of(const struct net_limits *l, const struct net_ip *ip, struct str text)
{
	unsigned char mac[EVP_MAX_MD_SIZE] = { 0 };
	uint64_t key = address_key(ip), digest;
	struct buf input = { 0 };

	buf_reserve(&input, sizeof(key) + text.len);
	buf_add(&input, &key, sizeof(key));
	buf_add(&input, text.p, text.len);
	HMAC(EVP_sha256(), l->key, sizeof(l->key), (unsigned char *)input.data, input.len, mac,
	    NULL);
	mem_wipe(input.data, input.len);
	buf_free(&input);
	memcpy(&digest, mac, sizeof(digest));
	return digest != 0 ? digest : 1;
}

/* The key of one user from one address. */
static uint64_t
user_key(const struct net_limits *l, const struct net_ip *ip, struct str user)
{
	struct buf name = { 0 };
	uint64_t key;

	buf_add(&name, user.p, user.len);
	ascii_lower_all(name.data, name.len);
	key = digest_of(l, ip, (struct str){ name.data, name.len });
	buf_free(&name);
	return key;
}

static void
set_failures(struct login *e, unsigned n, uint32_t now)
{
	e->state = (uint64_t)(n < FAILURES_MAX ? n : FAILURES_MAX) << 32 | now;
}

void
net_limits_login_failed(
    struct net_limits *l, const struct net_ip *ip, struct str user, struct str password)
{
	uint32_t now = now_s(), digest;
	struct login *e;
	unsigned n;

	if (ip == NULL)
		return;
	digest = (uint32_t)digest_of(l, ip, password);
	e = login_get(l, user_key(l, ip, user), now);
	n = failures(e, now);
	for (size_t i = 0; n > 0 && i < LOGIN_REMEMBER; i++)
		if (e->digest[i] == digest)
			return;
	e->digest[n % LOGIN_REMEMBER] = digest;
	set_failures(e, n + 1, now);
	e = login_get(l, address_key(ip), now);
	set_failures(e, failures(e, now) + 1, now);
}

void
net_limits_login_ok(struct net_limits *l, const struct net_ip *ip, struct str user)
{
	struct login *own = ip != NULL ? login_find(l, user_key(l, ip, user)) : NULL, *all;
	uint32_t now = now_s();
	unsigned n = own != NULL ? failures(own, now) : 0, total;

	if (n == 0)
		return;
	own->state = 0;
	all = login_find(l, address_key(ip));
	total = all != NULL ? failures(all, now) : 0;
	if (total > 0) /* the time of the last one stays */
		set_failures(all, total > n ? total - n : 0, (uint32_t)all->state);
}
