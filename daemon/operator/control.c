/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/operator/control.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/base/strbuf.h"
#include "daemon/os/clock.h"
#include "daemon/os/crossing.h"
#include "daemon/os/fd.h"
#include "daemon/os/peer.h"
#include "daemon/operator/json.h"

#define CLIENTS_MAX   16
#define STRANGERS     12 /* of them may not be root's: the rest is always free for it */
#define SNAPSHOT_USEC ((uint64_t)1000 * 1000) /* strangers get the same answer so long */
#define REQUEST_MAX   128
#define CLIENT_USEC   ((uint64_t)5 * 1000 * 1000)

/* One connection: reads a line, then writes the reply, then is gone. */
struct client {
	struct control *control;
	sd_event_source *io, *timer;
	int fd;
	bool root;       /* who asks */
	unsigned ticket; /* of an answer that comes later; 0: of none */
	char request[REQUEST_MAX];
	size_t len;
	char *reply; /* no text: it ends after `left` bytes from `sent` */
	size_t sent, left;
};

/* One for everybody and one for root. */
struct listener {
	sd_event_source *io;
	int fd; /* -1: there is none */
	struct sockaddr_un address;
};

struct control {
	struct control_setup setup;
	struct listener listeners[2];
	char *snapshot; /* the last answer to a stranger */
	uint64_t snapshot_usec;
	struct client *asking; /* whose request is being answered */
	bool borrowed; /* the descriptors are somebody else's still, who may need them again */
	unsigned tickets;
	struct client clients[CLIENTS_MAX]; /* fd -1: free */
};

static void client_close(struct client *client)
{
	client->io = sd_event_source_disable_unref(client->io);
	client->timer = sd_event_source_disable_unref(client->timer);
	if (client->fd >= 0 && !client->control->borrowed)
		peer_close(client->fd);
	client->fd = -1;
	free(client->reply);
	client->reply = NULL;
}

static int on_client_timeout(_unused_ sd_event_source *source, _unused_ uint64_t usec,
			     void *userdata)
{
	client_close(userdata);
	return 0;
}

static char *ask(const struct control *control, const char *request, const char *argument)
{
	json_auto_t *reply = control->setup.answer(request, argument, control->setup.userdata);

	return reply ? json_dumps(reply, JSON_COMPACT) : NULL;
}

/* An answer may cost much: listing the rules of a host with thousands of them. */
static char *answer_stranger(struct control *control, const char *request)
{
	json_auto_t *refusal = NULL;
	uint64_t now;

	if (strcmp(request, "status") != 0) {
		refusal = json_refusal("only root may ask for that");
		return refusal ? json_dumps(refusal, JSON_COMPACT) : NULL;
	}
	if (sd_event_now(control->setup.event, CLOCK_MONOTONIC, &now) < 0)
		return NULL;
	if (!control->snapshot || now >= control->snapshot_usec + SNAPSHOT_USEC) {
		free(control->snapshot);
		control->snapshot = ask(control, request, "");
		control->snapshot_usec = now;
	}
	return control->snapshot ? strdup(control->snapshot) : NULL;
}

static void take_reply(struct client *client, char *reply)
{
	client->reply = reply;
	client->left = reply ? strlen(reply) : 0;
	/* A line: its end takes the place of the text's. */
	if (reply)
		reply[client->left++] = '\n';
}

/* Where it is deferred there is no reply yet. */
static void answer(struct client *client)
{
	char *argument = strchr(client->request, ' ');

	if (argument)
		*argument++ = 0;
	else
		argument = client->request + strlen(client->request);
	client->control->asking = client;
	take_reply(client, client->root ? ask(client->control, client->request, argument)
					: answer_stranger(client->control, client->request));
	client->control->asking = NULL;
}

/* Of whoever waits only the end is of interest, which is told in any case. */
static bool client_waits(struct client *client)
{
	return sd_event_source_set_enabled(client->timer, SD_EVENT_OFF) >= 0 &&
	       sd_event_source_set_io_events(client->io, 0) >= 0;
}

/* Whoever asked has its time from now on, however long the answer took: the time of the event loop is
 * that before it. */
static bool start_to_write(struct client *client)
{
	return client->reply &&
	       sd_event_source_set_time(client->timer, clock_usec() + CLIENT_USEC) >= 0 &&
	       sd_event_source_set_enabled(client->timer, SD_EVENT_ONESHOT) >= 0 &&
	       sd_event_source_set_io_events(client->io, EPOLLOUT) >= 0;
}

/* Returns whether the connection goes on. */
static bool client_read(struct client *client)
{
	ssize_t n = peer_recv(client->fd, client->request + client->len,
			      sizeof(client->request) - 1 - client->len);
	char *end;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	client->len += (size_t)n;
	client->request[client->len] = 0;
	end = strchr(client->request, '\n');
	if (!end)
		return client->len < sizeof(client->request) - 1;
	*end = 0;
	answer(client);
	if (client->ticket && !client->reply)
		return client_waits(client);
	return start_to_write(client);
}

static bool client_write(struct client *client)
{
	ssize_t n = send(client->fd, client->reply + client->sent, client->left, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	client->sent += (size_t)n;
	client->left -= (size_t)n;
	return client->left > 0;
}

static int on_client(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t events,
		     void *userdata)
{
	struct client *client = userdata;
	bool go_on = false;

	if (client->reply)
		go_on = client_write(client);
	else if (!client->ticket)
		go_on = client_read(client);
	if (!go_on)
		client_close(client);
	return 0;
}

unsigned control_defer(struct control *control)
{
	if (++control->tickets == 0)
		control->tickets++;
	control->asking->ticket = control->tickets;
	return control->tickets;
}

void control_reply(struct control *control, unsigned ticket, json_t *reply)
{
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
	struct client *client = NULL;

	json_decref(reply);
	for (size_t i = 0; i < CLIENTS_MAX && ticket; i++)
		if (control->clients[i].fd >= 0 && control->clients[i].ticket == ticket)
			client = &control->clients[i];
	if (!client) {
		free(text);
		return;
	}
	client->ticket = 0;
	take_reply(client, text);
	if (!start_to_write(client))
		client_close(client);
}

static bool is_root(int fd)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == 0;
}

/* A place for one more connection, or NULL: too many at once. */
static struct client *find_place(struct control *control, bool root)
{
	struct client *place = NULL;
	size_t strangers = 0;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (control->clients[i].fd < 0)
			place = &control->clients[i];
		else if (!control->clients[i].root)
			strangers++;
	}
	return root || strangers < STRANGERS ? place : NULL;
}

/* Takes the descriptor. Returns whether it can be served. */
static bool client_open(struct control *control, struct client *client, int fd)
{
	client->control = control;
	client->fd = fd;
	return sd_event_add_io(control->setup.event, &client->io, client->fd, EPOLLIN, on_client,
			       client) >= 0 &&
	       sd_event_source_set_priority(client->io, control->setup.priority) >= 0 &&
	       sd_event_add_time_relative(control->setup.event, &client->timer, CLOCK_MONOTONIC,
					  CLIENT_USEC, 0, on_client_timeout, client) >= 0;
}

static int on_connection(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
			 void *userdata)
{
	struct control *control = userdata;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	bool root = peer >= 0 && is_root(peer);
	struct client *client = find_place(control, root);

	if (peer < 0)
		return 0;
	/* Whoever is too many is turned away. */
	if (!client) {
		peer_close(peer);
		return 0;
	}
	*client = (struct client){ .root = root };
	if (!client_open(control, client, peer))
		client_close(client);
	return 0;
}

static int watch_listener(struct control *control, struct listener *listener, struct error *err)
{
	int r = sd_event_add_io(control->setup.event, &listener->io, listener->fd, EPOLLIN,
				on_connection, control);

	if (r >= 0)
		r = sd_event_source_set_priority(listener->io, control->setup.priority);
	if (r < 0)
		return error_sys(err, r, "watch the control socket");
	(void)sd_event_source_set_description(listener->io, "control socket");
	return 0;
}

static int listen_at(struct control *control, struct listener *listener, mode_t mode,
		     struct error *err)
{
	const struct sockaddr_un *address = &listener->address;
	const char *path = address->sun_path;

	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return error_sys(err, -errno, "create the control socket");
	if (unlink(path) < 0 && errno != ENOENT)
		return error_sys(err, -errno, "replace %s", path);
	if (bind(listener->fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return error_sys(err, -errno, "bind %s", path);
	if (chmod(path, mode) < 0)
		return error_sys(err, -errno, "set the mode of %s", path);
	if (listen(listener->fd, CLIENTS_MAX) < 0)
		return error_sys(err, -errno, "listen on %s", path);
	return watch_listener(control, listener, err);
}

/* One without sockets. */
static struct control *make(const struct control_setup *setup)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control)
		return NULL;
	control->setup = *setup;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		control->clients[i].fd = -1;
	for (size_t i = 0; i < ELEMENTS(control->listeners); i++)
		control->listeners[i].fd = -1;
	return control;
}

static const char *const ends[] = { "", CONTROL_ROOT };

int control_new(const struct control_setup *setup, struct control **ret, struct error *err)
{
	static const mode_t modes[] = { 0666, 0600 };
	_cleanup_(control_freep) struct control *control = make(setup);
	int r = 0;

	if (!control)
		return error_sys(err, -ENOMEM, "create the control socket");
	for (size_t i = 0; i < ELEMENTS(ends) && r == 0; i++) {
		r = control_address(setup->path, ends[i], &control->listeners[i].address, err);
		if (r == 0)
			r = listen_at(control, &control->listeners[i], modes[i], err);
	}
	if (r == 0)
		*ret = take_ptr(control);
	return r;
}

static const char *const listener_names[] = { "everybody", "root" };

void control_add_facts(const struct control *control, struct strbuf *out)
{
	unsigned n = 0;

	handover_add_number(out, "control.", "tickets", control->tickets);
	for (size_t i = 0; i < ELEMENTS(control->listeners); i++)
		crossing_add_fd(out, "control.", listener_names[i], control->listeners[i].fd);
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		const struct client *client = &control->clients[i];
		char prefix[32];

		/* Half a request, and half an answer, do not cross. */
		if (client->fd < 0 || client->reply || (client->len && !client->ticket))
			continue;
		(void)snprintf(prefix, sizeof(prefix), "control.client-%u.", n++);
		crossing_add_fd(out, prefix, "fd", client->fd);
		handover_add_number(out, prefix, "root", client->root);
		handover_add_number(out, prefix, "ticket", client->ticket);
	}
	handover_add_number(out, "control.", "clients", n);
}

static int inherit_client(struct control *control, struct handover *handover, unsigned number)
{
	struct client *client = &control->clients[number];
	uint64_t root, ticket;
	char prefix[32];
	int fd;

	(void)snprintf(prefix, sizeof(prefix), "control.client-%u.", number);
	if (crossing_take_fd(handover, prefix, "fd", &fd) < 0 ||
	    handover_take_number(handover, prefix, "root", 1, &root) < 0 ||
	    handover_take_number(handover, prefix, "ticket", UINT_MAX, &ticket) < 0)
		return -EBADMSG;
	if (!control->setup.event)
		return 0;
	client->root = root;
	client->ticket = (unsigned)ticket;
	return client_open(control, client, fd) && (!ticket || client_waits(client)) ? 0 : -ENOMEM;
}

static int inherit_listener(struct control *control, struct handover *handover, size_t number,
			    struct error *err)
{
	struct listener *listener = &control->listeners[number];
	int fd = -EBADF,
	    r = control_address(control->setup.path, ends[number], &listener->address, err);

	if (r == 0 && crossing_take_fd(handover, "control.", listener_names[number], &fd) < 0)
		r = error_set(err, -EBADMSG, "the state lacks control.%s", listener_names[number]);
	if (r < 0 || !control->setup.event)
		return r;
	listener->fd = fd;
	return watch_listener(control, listener, err);
}

int control_inherit(const struct control_setup *setup, struct handover *handover,
		    struct control **ret, struct error *err)
{
	_cleanup_(control_freep) struct control *control = make(setup);
	uint64_t n = 0, tickets = 0;
	int r = 0;

	if (!control)
		return error_sys(err, -ENOMEM, "take the control socket over");
	control->borrowed = true;
	for (size_t i = 0; i < ELEMENTS(ends) && r == 0; i++)
		r = inherit_listener(control, handover, i, err);
	if (r < 0)
		return r;
	if (handover_take_number(handover, "control.", "clients", CLIENTS_MAX, &n) < 0 ||
	    handover_take_number(handover, "control.", "tickets", UINT_MAX, &tickets) < 0)
		r = -EBADMSG;
	control->tickets = (unsigned)tickets;
	for (unsigned i = 0; i < n && r == 0; i++)
		r = inherit_client(control, handover, i);
	if (r < 0)
		return error_sys(err, r, "take the connections of the control socket over");
	control->borrowed = false;
	if (setup->event)
		*ret = take_ptr(control);
	return 0;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		client_close(&control->clients[i]);
	for (size_t i = 0; i < ELEMENTS(control->listeners); i++) {
		struct listener *listener = &control->listeners[i];

		sd_event_source_disable_unref(listener->io);
		if (listener->fd < 0 || control->borrowed)
			continue;
		peer_close(listener->fd);
		(void)unlink(listener->address.sun_path);
	}
	free(control->snapshot);
	free(control);
}
