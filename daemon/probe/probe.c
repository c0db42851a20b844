/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/probe/probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "daemon/os/sock_diag.h"
#include "daemon/os/peer.h"
#include "daemon/probe/connect.h"
#include "daemon/probe/question.h"

enum question_kind {
	QUESTION_ADMIN,
	QUESTION_CONTROL_PLANE, /* asked of Envoy */
	QUESTION_KUMA_DP,
	QUESTION_DNS_V4,
	QUESTION_DNS_V6,
	QUESTION_ENVOY_DNS,
	QUESTION_COUNT,
};

enum question_state {
	NOT_ASKED,
	PENDING,
	ANSWERED,
	FAILED,
};

struct question {
	struct probe *probe;
	enum question_state state;
	int fd;
	sd_event_source *io;
	uint16_t id;         /* of a DNS query */
	char response[2048]; /* HTTP */
	size_t len;
	char word[32]; /* what Envoy says of itself */
};

struct probe {
	sd_event *event;
	sd_event_source *timer; /* ends the round */
	struct probe_target target;
	struct probe_result result;
	struct question question[QUESTION_COUNT];
	probe_done_t *done;
	void *userdata;
};

static void question_close(struct question *q)
{
	q->io = sd_event_source_disable_unref(q->io);
	if (q->fd >= 0)
		peer_close(q->fd);
	q->fd = -1;
}

static void settle(struct question *q, enum question_state state)
{
	struct probe *probe = q->probe;

	q->state = state;
	question_close(q);
	for (unsigned i = 0; i < QUESTION_COUNT; i++)
		if (probe->question[i].state == PENDING && !(probe->target.lazy && state == FAILED))
			return;
	/* All have answered, or enough is known: the timer ends the round from the loop, at once. */
	probe_hurry(probe);
}

static bool is_answered(enum question_kind kind, struct question *q)
{
	struct probe_result *result = &q->probe->result;
	bool connected;
	unsigned status;

	if (kind == QUESTION_CONTROL_PLANE) {
		if (!http_connected_state(q->response, &connected))
			return false;
		result->control_plane = connected ? CONTROL_PLANE_CONNECTED : CONTROL_PLANE_LOST;
		return true;
	}
	/* What kuma-dp says does not matter: Envoy speaks for itself. */
	return http_parse(q->response, &status, q->word) &&
	       (status == 200 || kind == QUESTION_KUMA_DP);
}

static void judge_http(struct question *q)
{
	enum question_kind kind = (enum question_kind)(q - q->probe->question);

	settle(q, is_answered(kind, q) ? ANSWERED : FAILED);
}

static const char *request_of(const struct question *q)
{
	return q == &q->probe->question[QUESTION_CONTROL_PLANE] ? STATE_REQUEST : READY_REQUEST;
}

static int send_request(const struct question *q)
{
	const char *request = request_of(q);

	return send(q->fd, request, strlen(request), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void read_http(struct question *q)
{
	size_t room = sizeof(q->response) - 1;
	ssize_t n = 1;

	while (n > 0 && q->len < room) {
		n = peer_recv(q->fd, q->response + q->len, room - q->len);
		q->len += n > 0 ? (size_t)n : 0;
	}
	if (n >= 0 || (errno != EAGAIN && errno != EINTR))
		judge_http(q);
}

static int on_http(_unused_ sd_event_source *source, _unused_ int fd, uint32_t events,
		   void *userdata)
{
	struct question *q = userdata;

	if (!(events & EPOLLOUT))
		read_http(q);
	else if (send_request(q) < 0 ||
		 (!q->probe->target.lazy && sd_event_source_set_io_events(q->io, EPOLLIN) < 0))
		settle(q, FAILED);
	else if (q->probe->target.lazy)
		q->io = sd_event_source_disable_unref(q->io);
	return 0;
}

static void read_dns(struct question *q)
{
	uint8_t buf[512];
	ssize_t n = recv(q->fd, buf, sizeof(buf), 0);

	/* ECONNREFUSED: nobody is there. A reply to somebody else's id is not ours: wait on. */
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		settle(q, FAILED);
	else if (n >= 0 && dns_is_reply(q->id, buf, (size_t)n))
		settle(q, ANSWERED);
}

static int on_dns(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t events,
		  void *userdata)
{
	read_dns(userdata);
	return 0;
}

static void ask_http(struct probe *probe, enum question_kind kind)
{
	const struct probe_target *target = &probe->target;
	struct question *q = &probe->question[kind];
	uint16_t port = kind == QUESTION_KUMA_DP ? target->kuma_dp_port : target->admin_port;
	int r;

	q->fd = kind == QUESTION_KUMA_DP ? -1 : connect_admin_socket(target, &probe->result.envoy);
	if (q->fd < 0 && port_is_proxys(target, port))
		q->fd = connect_loopback(FAMILY_V4, SOCK_STREAM, port);
	r = q->fd < 0 ? -ENOTCONN : send_request(q);
	/* TCP may need a moment to connect. */
	if (r == -EAGAIN)
		r = sd_event_add_io(probe->event, &q->io, q->fd, EPOLLOUT, on_http, q);
	else if (r == 0 && !target->lazy)
		r = sd_event_add_io(probe->event, &q->io, q->fd, EPOLLIN, on_http, q);
	if (r < 0)
		settle(q, FAILED);
}

/* The port that a question goes to; 0: it is not asked. */
static uint16_t dns_port(const struct probe_target *target, enum question_kind kind)
{
	if (kind == QUESTION_ENVOY_DNS)
		return target->envoy_dns_port;
	return target->dns_family[kind == QUESTION_DNS_V6 ? FAMILY_V6 : FAMILY_V4]
		       ? target->dns_port
		       : 0;
}

static void ask_dns(struct probe *probe, enum question_kind kind)
{
	enum family family = kind == QUESTION_DNS_V6 ? FAMILY_V6 : FAMILY_V4;
	struct question *q = &probe->question[kind];
	uint16_t port = dns_port(&probe->target, kind);
	uint8_t query[DNS_QUERY_MAX];
	size_t len;

	if (getrandom(&q->id, sizeof(q->id), GRND_NONBLOCK) < 0)
		q->id = (uint16_t)(kind + 1);
	len = dns_query(q->id, kind == QUESTION_ENVOY_DNS, query);
	q->fd = connect_loopback(family, SOCK_DGRAM, port);
	/* IPv6 was switched off on this host: nobody asks over it. */
	if (q->fd < 0 && family == FAMILY_V6 && (errno == EADDRNOTAVAIL || errno == ENETUNREACH))
		settle(q, NOT_ASKED);
	else if (q->fd < 0 || send(q->fd, query, len, MSG_NOSIGNAL) != (ssize_t)len ||
		 (!probe->target.lazy &&
		  sd_event_add_io(probe->event, &q->io, q->fd, EPOLLIN, on_dns, q) < 0))
		settle(q, FAILED);
}

static void add_missing(struct probe_result *result, const char *fmt, ...) _printf_(2, 3);

static void add_missing(struct probe_result *result, const char *fmt, ...)
{
	size_t len = strlen(result->missing);
	va_list args;

	if (len && len < sizeof(result->missing) - 3) {
		memcpy(result->missing + len, ", ", 3);
		len += 2;
	}
	va_start(args, fmt);
	(void)vsnprintf(result->missing + len, sizeof(result->missing) - len, fmt, args);
	va_end(args);
}

/* Outbound packets are redirected to the loopback address; inbound ones to an address of the
 * interface on which they came, so that only a listener on all addresses will do. And it must be
 * the kuma-dp user's: anybody may listen on the port. */
static void look_for_listener(struct probe *probe, uint16_t port, const struct ip_addr *addr)
{
	enum family family = addr->family;
	uid_t uid = 0;
	int r;

	if (port == 0 || !probe->target.family[family])
		return;
	r = sock_tcp_listener(addr, port, &uid, NULL);
	if (r == 1 && uid == probe->target.uid)
		return;
	probe->result.listeners = false;
	if (r == 1)
		add_missing(&probe->result, "port %u on %s (user %u listens there)", port,
			    family_name(family), uid);
	else
		add_missing(&probe->result, "port %u on %s", port, family_name(family));
}

static void look_for_listeners(struct probe *probe)
{
	probe->result.listeners = true;
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		look_for_listener(probe, probe->target.outbound_port, &loopback[f]);
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		look_for_listener(probe, probe->target.inbound_port,
				  &(struct ip_addr){ .family = f });
}

/* An answer proves nothing while anybody else receives what is sent to the port, even beside the
 * proxy; nor does one that came of a socket that is closed by now. */
static bool judge_question(struct probe *probe, enum question_kind kind, const char *name)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	const struct ip_addr *addr = &loopback[kind == QUESTION_DNS_V6 ? FAMILY_V6 : FAMILY_V4];
	struct probe_result *result = &probe->result;
	struct socket_list sockets;
	struct error err;
	bool proxys = false;

	if (sock_udp(&arena, dns_port(&probe->target, kind), &sockets, &err) < 0) {
		add_missing(result, "%s: %s", name, err.text);
		return false;
	}
	for (size_t i = 0; i < sockets.n; i++) {
		const struct facts_socket *s = &sockets.items[i];

		if (!facts_socket_takes(s, addr))
			continue;
		if (s->uid != probe->target.uid) {
			add_missing(result, "%s: user %u listens there", name, s->uid);
			return false;
		}
		proxys = proxys || !s->connected;
	}
	if (proxys && probe->question[kind].state == ANSWERED)
		return true;
	add_missing(result, "%s", name);
	return false;
}

static void judge_dns(struct probe *probe)
{
	static const char *const names[QUESTION_COUNT] = {
		[QUESTION_DNS_V4] = "DNS on IPv4",
		[QUESTION_DNS_V6] = "DNS on IPv6",
		[QUESTION_ENVOY_DNS] = "Envoy's DNS",
	};

	probe->result.dns = probe->result.core_dns = true;
	for (unsigned i = QUESTION_DNS_V4; i < QUESTION_COUNT; i++) {
		if (probe->question[i].state == NOT_ASKED || judge_question(probe, i, names[i]))
			continue;
		probe->result.dns = false;
		if (i != QUESTION_ENVOY_DNS)
			probe->result.core_dns = false;
	}
}

static void judge_envoy(struct probe *probe)
{
	const struct question *admin = &probe->question[QUESTION_ADMIN];

	probe->result.admin = admin->state == ANSWERED;
	probe->result.alive = probe->result.admin || admin->word[0];
	if (!probe->result.admin && admin->word[0])
		add_missing(&probe->result, "Envoy (%s)", admin->word);
	else if (!probe->result.admin)
		add_missing(&probe->result, "Envoy");
	probe->result.kuma_dp = probe->question[QUESTION_KUMA_DP].state != FAILED;
	if (!probe->result.kuma_dp)
		add_missing(&probe->result, "kuma-dp itself");
}

/* What has come by the end counts. */
static void read_last(struct question *q, enum question_kind kind)
{
	if (kind >= QUESTION_DNS_V4)
		read_dns(q);
	else
		read_http(q);
	/* A server that answers but does not close is judged by what it said. */
	if (q->state == PENDING && q->len)
		judge_http(q);
	else if (q->state == PENDING)
		q->state = FAILED;
}

static int on_round_end(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata)
{
	struct probe *probe = userdata;

	for (unsigned i = 0; i < QUESTION_COUNT; i++)
		if (probe->question[i].state == PENDING)
			read_last(&probe->question[i], i);
	judge_envoy(probe);
	look_for_listeners(probe);
	judge_dns(probe);
	for (unsigned i = 0; i < QUESTION_COUNT; i++)
		question_close(&probe->question[i]);
	probe->timer = sd_event_source_disable_unref(probe->timer);
	probe->done(&probe->result, probe->userdata);
	return 0;
}

static bool is_asked(const struct probe *probe, enum question_kind kind)
{
	switch (kind) {
	case QUESTION_ADMIN:
		return true;
	case QUESTION_CONTROL_PLANE:
		return probe->target.control_plane;
	case QUESTION_KUMA_DP:
		return port_is_proxys(&probe->target, probe->target.kuma_dp_port);
	case QUESTION_DNS_V4:
	case QUESTION_DNS_V6:
	case QUESTION_ENVOY_DNS:
	case QUESTION_COUNT:
		break;
	}
	return dns_port(&probe->target, kind) != 0;
}

int probe_new(sd_event *event, struct probe **ret, struct error *err)
{
	struct probe *probe = calloc(1, sizeof(*probe));

	if (!probe)
		return error_sys(err, -ENOMEM, "make a probe");
	probe->event = sd_event_ref(event);
	*ret = probe;
	return 0;
}

int probe_start(struct probe *probe, const struct probe_target *target, probe_done_t *done,
		void *userdata, struct error *err)
{
	int r;

	if (probe->timer)
		return error_set(err, -EBUSY, "a round of probes is under way");
	r = sd_event_add_time_relative(probe->event, &probe->timer, CLOCK_MONOTONIC,
				       target->timeout_usec, 1000, on_round_end, probe);
	if (r < 0)
		return error_sys(err, r, "arm the probe's timer");
	(void)sd_event_source_set_description(probe->timer, "probe");
	probe->target = *target;
	probe->result = (struct probe_result){ 0 };
	probe->done = done;
	probe->userdata = userdata;
	/* All are pending before any is asked: one that fails at once must not end the round for
	 * the rest. */
	for (enum question_kind i = 0; i < QUESTION_COUNT; i++)
		probe->question[i] = (struct question){
			.probe = probe,
			.state = is_asked(probe, i) ? PENDING : NOT_ASKED,
			.fd = -1,
		};
	for (enum question_kind i = QUESTION_DNS_V4; i < QUESTION_COUNT; i++)
		if (probe->question[i].state == PENDING)
			ask_dns(probe, i);
	for (enum question_kind i = QUESTION_ADMIN; i < QUESTION_DNS_V4; i++)
		if (probe->question[i].state == PENDING)
			ask_http(probe, i);
	return 0;
}

void probe_hurry(struct probe *probe)
{
	if (probe->timer)
		(void)sd_event_source_set_time_relative(probe->timer, 0);
}

void probe_free(struct probe *probe)
{
	if (!probe)
		return;
	for (unsigned i = 0; probe->timer && i < QUESTION_COUNT; i++)
		question_close(&probe->question[i]);
	sd_event_source_disable_unref(probe->timer);
	sd_event_unref(probe->event);
	free(probe);
}
