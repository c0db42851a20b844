/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/redirect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/os/fd.h"
#include "daemon/netfilter/loopback.h"
#include "daemon/netfilter/xt/lock.h"

#define PAUSE_USEC ((uint64_t)10 * 1000) /* between two tries for the lock */

int redirect_open(struct redirect *redirect, const struct netfilter_backend *backend,
		  const char *record_path, struct error *err)
{
	int r;

	*redirect = (struct redirect){ .backend = backend };
	r = record_load(record_path, &redirect->record, err);
	if (r < 0)
		return r;
	r = backend->open(&redirect->nf, err);
	if (r != 0) {
		record_done(&redirect->record);
		redirect->nf = NULL;
	}
	return r;
}

void redirect_done(struct redirect *redirect)
{
	if (redirect->nf)
		redirect->backend->close(redirect->nf);
	record_done(&redirect->record);
	*redirect = (struct redirect){ 0 };
}

/* The claim is on disk before the address is on the interface: a kill between the two leaves a
 * claim that removes nothing, never an address that nobody claims. */
static int add_address(struct redirect *redirect, const char *iface, bool *ret_added,
		       struct error *err)
{
	struct record *record = &redirect->record;
	bool present;
	int r;

	*ret_added = false;
	r = loopback_v6_present(iface, &present, err);
	if (r < 0 || present)
		return r;
	/* Somebody has removed it under rules that need it. */
	if (record->address)
		return loopback_v6_add(iface, &present, err);
	record->address = true;
	(void)snprintf(record->address_iface, sizeof(record->address_iface), "%s", iface);
	r = record_save(record, err);
	if (r < 0) {
		record->address = false;
		return r;
	}
	r = loopback_v6_add(iface, ret_added, err);
	if (r < 0 || !*ret_added) {
		/* Somebody else was faster, or it cannot be: then it is not ours to remove. */
		record->address = false;
		if (record_save(record, NULL) < 0 && r >= 0)
			return error_set(err, -EIO, "take back the claim on ::6/128");
	}
	return r;
}

static int remove_once(struct redirect *redirect, struct error *err)
{
	struct record *record = &redirect->record;
	int r;

	if (!record->address)
		return 0;
	r = loopback_v6_remove(record->address_iface, err);
	if (r < 0)
		return r;
	record->address = false;
	r = record_save(record, err);
	record->address = r < 0;
	return r;
}

/* The rules cannot be put back any more: what fails in passing must not leave half a change. */
static int remove_address(struct redirect *redirect, struct error *err)
{
	int r = remove_once(redirect, err);

	return r < 0 ? remove_once(redirect, err) : r;
}

/* Takes back the address that was added for rules that did not come. */
static int without_address(struct redirect *redirect, struct error *err, int r)
{
	struct error why;

	if (remove_address(redirect, &why) == 0)
		return r;
	if (r == NETFILTER_BUSY)
		return error_set(err, why.code, "take back ::6/128: %.300s", why.text);
	return error_wrap(err, r, "take back ::6/128: %.120s", why.text);
}

static bool lock_is_held(void)
{
	_close_ int fd = -EBADF;

	return xtables_lock(&fd, NULL) == NETFILTER_BUSY;
}

int redirect_apply(struct redirect *redirect, const struct ruleset *rules, enum scope scope,
		   struct error *err)
{
	bool added = false;
	int r;

	if (rules->loopback_v6) {
		/* Or the address would come and go with each try. */
		if (!redirect->record.address && lock_is_held())
			return NETFILTER_BUSY;
		r = add_address(redirect, rules->loopback, &added, err);
		if (r < 0)
			return error_wrap(err, r, "apply rules");
	}
	r = redirect->backend->apply(redirect->nf, rules, scope, &redirect->record, err);
	if (r < 0)
		r = error_wrap(err, r, "apply rules");
	if (r != 0)
		return added ? without_address(redirect, err, r) : r;
	if (!rules->loopback_v6) {
		r = remove_address(redirect, err);
		if (r < 0)
			return error_wrap(err, r, "remove ::6/128");
	}
	return r;
}

int redirect_apply_wait(struct redirect *redirect, const struct ruleset *rules, enum scope scope,
			uint64_t timeout_usec, uint64_t interval_usec, struct error *err)
{
	uint64_t pause_usec = interval_usec ? interval_usec : PAUSE_USEC, waited = 0;
	const struct timespec pause = { .tv_sec = (time_t)(pause_usec / 1000000),
					.tv_nsec = (long)(pause_usec % 1000000) * 1000 };

	for (;;) {
		int r = redirect_apply(redirect, rules, scope, err);

		if (r != NETFILTER_BUSY)
			return r;
		if (waited >= timeout_usec)
			return error_set(
				err, -EBUSY,
				"the xtables lock is held by another program (waited %llu ms)",
				(unsigned long long)(waited / 1000));
		(void)nanosleep(&pause, NULL);
		waited += pause_usec;
	}
}
