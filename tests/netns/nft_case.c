/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The rules of a golden case, for nf_tables and for test_nftables.py unless said otherwise:
 *
 *     nft_case text DIRECTORY LEVEL    what nft -f is given
 *     nft_case send DIRECTORY LEVEL    puts them into the kernel as netlink messages
 *     nft_case apply DIRECTORY LEVEL BACKEND RECORD
 *                                      puts them into the kernel through that backend, for test_nft_equivalence.py
 *
 * DIRECTORY may be followed by ":strict" (inbounds closed where the mesh does not cover them) and ":lists" (long ones,
 * up to the last value).
 *
 * Exit 0; 1 with the sentence on stderr; 77 where the case's configuration is refused, and why.
 */

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include "common/base/cleanup.h"
#include "common/rules/encode_nft.h"
#include "common/rules/print_nft.h"
#include "daemon/netfilter/backends/backends.h"
#include "daemon/netfilter/record.h"
#include "tests/golden/case.h"

static enum level level_of(const char *name)
{
	for (enum level level = 0; level < LEVEL_COUNT; level++)
		if (strcmp(level_name(level), name) == 0)
			return level;
	die("%s: unknown level", name);
}

static void fill_strict(struct plan *plan)
{
	static uint16_t ports[] = { 8080, 8443 };
	static struct endpoint v4[] = { { { FAMILY_V4, { 192, 0, 2, 10 } }, 8080 } };
	static struct endpoint v6[] = { { { FAMILY_V6, { 0xfd, [15] = 1 } }, 8443 } };

	plan->strict_ports = (struct port_list){ ports, ELEMENTS(ports) };
	plan->family[FAMILY_V4].inbounds = (struct endpoint_list){ v4, ELEMENTS(v4) };
	plan->family[FAMILY_V6].inbounds = (struct endpoint_list){ v6, ELEMENTS(v6) };
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		plan->family[f].strict = plan->family[f].unnumbered = true;
}

static void fill_lists(struct arena *arena, struct plan *plan)
{
	static const struct port_range port = { 1, 65535 };

	for (unsigned n = 0; n < 1000; n++) {
		struct uid_exclusion uids = { IPPROTO_TCP, &port, 1, "", n * 3, n * 3 + 1, "" };
		struct net v4 = { { { FAMILY_V4, { 10, (uint8_t)(n / 256), (uint8_t)n } }, 25 },
				  "" };
		struct net v6 = { { { FAMILY_V6, { 0xfd, (uint8_t)(n / 256), (uint8_t)n } }, 37 },
				  "" };

		array_push(arena, &plan->outbound.exclude_ports, (uint16_t)(65535 - n * 7));
		array_push(arena, &plan->exclude_uids, uids);
		array_push(arena, &plan->family[FAMILY_V4].exclude_outbound, v4);
		array_push(arena, &plan->family[FAMILY_V6].exclude_outbound, v6);
	}
	plan->exclude_uids.items[7].uid_hi = 0xffffffff;
	for (size_t n = 0; n < 2; n++)
		array_push(arena, &plan->family[FAMILY_V4].exclude_inbound,
			   (struct net){ { { FAMILY_V4, { 0 } }, 0 }, "" });
}

/* The first answer tells: an error comes unasked, else the last message is answered. */
static void send_batch(const struct nft_batch *batch)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_NETFILTER);
	_strbuf_ struct strbuf subject = { 0 };
	const struct nlmsgerr *answer;
	char buf[65536];
	int size = 8 * 1024 * 1024;

	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		die("netlink: %s", strerror(errno));
	(void)setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (mnl_socket_sendto(nl, batch->bytes.text, batch->bytes.len) < 0)
		die("send: %s", strerror(errno));
	if (mnl_socket_recvfrom(nl, buf, sizeof(buf)) < 0)
		die("receive: %s", strerror(errno));
	answer = mnl_nlmsg_get_payload((struct nlmsghdr *)(void *)buf);
	if (answer->error) {
		nft_subject_print(batch, answer->msg.nlmsg_seq - 1, &subject);
		die("%s: %s", strbuf_text(&subject), strerror(-answer->error));
	}
	(void)mnl_socket_close(nl);
}

static int refuse(const struct diag_list *diags)
{
	_strbuf_ struct strbuf text = { 0 };

	for (size_t i = 0; i < diags->n; i++) {
		diag_print(&diags->items[i], &text);
		strbuf_addc(&text, '\n');
	}
	(void)fputs(strbuf_text(&text), stderr);
	return 77;
}

/* In place of what the record lists. */
static void apply(const struct ruleset *rules, const char *backend, const char *path)
{
	const enum backend_choice choice =
		strcmp(backend, "nftables") == 0 ? BACKEND_NFTABLES : BACKEND_IPTABLES;
	struct netfilter_channel channel = { .fd = -EBADF };
	const struct netfilter_wish wish = { .rules = rules, .channel = &channel };
	struct record record = { 0 };
	struct error err = { 0 };

	if (record_load(path, &record, &err) < 0 ||
	    netfilter_backends[choice]->apply(&wish, &record, NULL, &err) != NETFILTER_DONE)
		die("%s", err.text);
	record_done(&record);
}

int main(int argc, char *argv[])
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct diag_list diags = { .arena = &arena };
	struct golden_case c;
	struct plan plan;
	struct ruleset rules;
	struct nft_ruleset lowered;
	char *directory = argv[2];

	if (argc != (argc > 1 && strcmp(argv[1], "apply") == 0 ? 6 : 4))
		die("usage: see nft_case.c");
	if (!case_build(&arena, strsep(&directory, ":"), &c, &plan, &diags))
		return refuse(&diags);
	if (directory && strcmp(directory, "strict") == 0)
		fill_strict(&plan);
	else if (directory)
		fill_lists(&arena, &plan);
	ruleset_build(&arena, &plan, level_of(argv[3]), &rules);
	if (strcmp(argv[1], "apply") == 0) {
		apply(&rules, argv[4], argv[5]);
		return arena.failed;
	}
	lower_nft(&arena, &rules, &lowered);
	if (strcmp(argv[1], "text") == 0) {
		_strbuf_ struct strbuf text = { 0 };

		print_nft(&lowered, &text);
		return fputs(strbuf_text(&text), stdout) < 0 || arena.failed || text.failed;
	}
	_cleanup_(nft_batch_done) struct nft_batch batch = { 0 };

	encode_nft(&lowered, NFT_UNOWNED, 1, &batch);
	if (arena.failed || batch.failed)
		die("out of memory");
	send_batch(&batch);
	return 0;
}
