/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/probe/question.h"

#include <criterion/criterion.h>

#define LIVE                                                                                \
	"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n" \
	"5\r\nLIVE\n\r\n0\r\n\r\n"
#define PRE "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 17\r\n\r\nPRE_INITIALIZING\n"

Test(probe_question, reads_status_and_first_word_of_a_response)
{
	static const struct {
		const char *response;
		bool complete;
		unsigned status;
		const char *word;
	} cases[] = {
		{ LIVE, true, 200, "LIVE" },
		{ PRE, true, 503, "PRE_INITIALIZING" },
		{ "HTTP/1.1 200 OK\r\n\r\n", true, 200, "" },
		{ "HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n", true, 503, "" },
		{ "HTTP/1.1 200 OK\r\n\r\n0123456789012345678901234567890123456789", true, 200,
		  "0123456789012345678901234567890" },
		{ "HTTP/1.1 200 OK\r\n", false, 0, "" },
		{ "SSH-2.0-OpenSSH\r\n\r\n", false, 0, "" },
		{ "HTTP/1.1 4294967496 OK\r\n\r\nLIVE", false, 0, "" }, /* 200 + 2^32 */
		{ "HTTP/1.1 2000 OK\r\n\r\nLIVE", false, 0, "" },
		{ "", false, 0, "" },
	};

	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		char word[32] = "";
		unsigned status = 0;

		cr_expect_eq(http_parse(cases[i].response, &status, word), cases[i].complete, "%zu",
			     i);
		cr_expect_eq(status, cases[i].status, "%zu", i);
		cr_expect_str_eq(word, cases[i].word, "%zu", i);
	}
}

Test(probe_question, reads_whether_envoy_is_connected)
{
	static const struct {
		const char *response;
		bool tells, connected;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\n\r\n\ncontrol_plane.connected_state: 1\n", true, true },
		{ "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n21\r\n"
		  "control_plane.connected_state: 0\n\r\n0\r\n\r\n",
		  true, false },
		{ "HTTP/1.1 200 OK\r\n\r\ncontrol_plane.connected_state: ", false, false },
		{ "HTTP/1.1 200 OK\r\n\r\nxcontrol_plane.connected_state: 1", false, false },
		{ "HTTP/1.1 403 Forbidden\r\n\r\n", false, false },
		{ "", false, false },
	};

	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		bool connected = false;

		cr_expect_eq(http_connected_state(cases[i].response, &connected), cases[i].tells,
			     "%zu", i);
		cr_expect_eq(connected, cases[i].connected, "%zu", i);
	}
}

Test(probe_question, asks_in_a_way_that_no_server_passes_on)
{
	static const uint8_t expected[] = "\x12\x34\x10\0\0\1\0\0\0\0\0\0\11localhost\0\0\1\0\1";
	uint8_t query[DNS_QUERY_MAX];

	cr_assert_eq(dns_query(0x1234, false, query), sizeof(expected) - 1);
	cr_expect_arr_eq(query, expected, sizeof(expected) - 1);
}

Test(probe_question, recognises_a_reply_by_its_id_and_the_bit_for_it)
{
	uint8_t reply[12] = { 0x12, 0x34, 0x80 };

	cr_expect(dns_is_reply(0x1234, reply, 12));
	cr_expect_not(dns_is_reply(0x1235, reply, 12));
	cr_expect_not(dns_is_reply(0x1234, reply, 11));
	reply[2] = 0;
	cr_expect_not(dns_is_reply(0x1234, reply, 12));
}
