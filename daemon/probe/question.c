/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/probe/question.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DNS_HEADER 12 /* bytes (RFC 1035 4.1.1) */
#define TYPE_A     1
#define CLASS_IN   1
#define RD         0x01        /* recursion desired */
#define STATUS     (0x02 << 3) /* operation code */

/* Asks for the address of a name; labels are in wire format, with the root's NUL at the end. */
static size_t dns_query(uint16_t id, const char *labels, uint8_t flags,
			uint8_t buf[static DNS_QUERY_MAX])
{
	const uint8_t header[DNS_HEADER] = {
		[0] = (uint8_t)(id >> 8),
		[1] = (uint8_t)id,
		[2] = flags,
		[5] = 1 /* QDCOUNT */,
	};
	const uint8_t tail[] = { 0, TYPE_A, 0, CLASS_IN };
	size_t len = strlen(labels) + 1;

	memcpy(buf, header, sizeof(header));
	memcpy(buf + DNS_HEADER, labels, len);
	memcpy(buf + DNS_HEADER + len, tail, sizeof(tail));
	return DNS_HEADER + len + sizeof(tail);
}

size_t dns_query_status(uint16_t id, uint8_t buf[static DNS_QUERY_MAX])
{
	return dns_query(id, "\11localhost", STATUS, buf);
}

size_t dns_query_address(uint16_t id, uint8_t buf[static DNS_QUERY_MAX])
{
	return dns_query(id, "\15tproxyd-probe\7invalid", RD, buf);
}

bool dns_is_reply(uint16_t id, const uint8_t *buf, size_t len)
{
	return len >= DNS_HEADER && buf[0] == (uint8_t)(id >> 8) && buf[1] == (uint8_t)id &&
	       (buf[2] & 0x80);
}

/* Whether the header section names chunked transfer coding; end is its end. */
static bool is_chunked(const char *response, const char *end)
{
	const char *name = strcasestr(response, "\r\ntransfer-encoding:");

	return name && name < end;
}

bool http_parse(const char *response, unsigned *ret_status, char body[static 32])
{
	const char *text = strstr(response, "\r\n\r\n");
	unsigned major, minor, status;
	size_t n = 0;

	if (!text || sscanf(response, "HTTP/%u.%u %u", &major, &minor, &status) != 3)
		return false;
	if (is_chunked(response, text)) {
		text = strstr(text + 4, "\r\n");
		text = text ? text + 2 : "";
	} else {
		text += 4;
	}
	for (; n < 31 && isgraph((unsigned char)text[n]); n++)
		body[n] = text[n];
	body[n] = 0;
	*ret_status = status;
	return true;
}
