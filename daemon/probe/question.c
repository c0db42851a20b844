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

size_t dns_query(uint16_t id, bool to_envoy, uint8_t buf[static DNS_QUERY_MAX])
{
	/* In wire format, with the root's NUL at the end. */
	const char *labels = to_envoy ? "\15tproxyd-probe\7invalid" : "\11localhost";
	const uint8_t header[DNS_HEADER] = {
		[0] = (uint8_t)(id >> 8),
		[1] = (uint8_t)id,
		[2] = to_envoy ? RD : STATUS,
		[5] = 1 /* QDCOUNT */,
	};
	const uint8_t tail[] = { 0, TYPE_A, 0, CLASS_IN };
	size_t len = strlen(labels) + 1;

	memcpy(buf, header, sizeof(header));
	memcpy(buf + DNS_HEADER, labels, len);
	memcpy(buf + DNS_HEADER + len, tail, sizeof(tail));
	return DNS_HEADER + len + sizeof(tail);
}

bool dns_is_reply(uint16_t id, const uint8_t *buf, size_t len)
{
	return len >= DNS_HEADER && buf[0] == (uint8_t)(id >> 8) && buf[1] == (uint8_t)id &&
	       (buf[2] & 0x80);
}

bool http_parse(const char *response, unsigned *ret_status, char body[static 32])
{
	const char *text = strstr(response, "\r\n\r\n");
	const char *chunked = strcasestr(response, "\r\ntransfer-encoding:");
	unsigned major, minor, status;
	size_t n = 0;
	char end;

	if (!text || sscanf(response, "HTTP/%1u.%1u %3u%c", &major, &minor, &status, &end) != 4 ||
	    !isspace((unsigned char)end))
		return false;
	if (chunked && chunked < text) {
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

bool http_connected_state(const char *response, bool *ret_connected)
{
	static const char name[] = "\ncontrol_plane.connected_state: ";
	const char *found = strstr(response, name);

	if (!found || !isdigit((unsigned char)found[strlen(name)]))
		return false;
	*ret_connected = found[strlen(name)] != '0';
	return true;
}
