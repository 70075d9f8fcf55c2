/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "acme/wire.h"

#include "store/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void put_job(struct enc *e, const struct wire_job *w)
{
	enc_text(e, w->directory);
	enc_text(e, w->kid);
	enc_text(e, w->jwk);
	enc_text(e, w->contact);
	enc_text(e, w->eab_kid);
	enc_text(e, w->names);
	enc_text(e, w->preferred_chain);
	enc_u8(e, (uint8_t)w->state);
	enc_text(e, w->order_url);
	enc_text(e, w->finalize_url);
	enc_text(e, w->certificate_url);
	enc_blob(e, w->csr, w->csr_size);
	enc_u8(e, w->agree_terms);
}

static enum order_state get_state(struct dec *d)
{
	const uint8_t v = dec_u8(d);

	if (v < ORDER_NEW || v > ORDER_VALID)
		d->bad = true;
	return (enum order_state)v;
}

static void get_job(struct dec *d, struct wire_job *w)
{
	dec_text(d, w->directory, sizeof(w->directory));
	dec_text(d, w->kid, sizeof(w->kid));
	dec_text(d, w->jwk, sizeof(w->jwk));
	dec_text(d, w->contact, sizeof(w->contact));
	dec_text(d, w->eab_kid, sizeof(w->eab_kid));
	dec_text(d, w->names, sizeof(w->names));
	dec_text(d, w->preferred_chain, sizeof(w->preferred_chain));
	w->state = get_state(d);
	dec_text(d, w->order_url, sizeof(w->order_url));
	dec_text(d, w->finalize_url, sizeof(w->finalize_url));
	dec_text(d, w->certificate_url, sizeof(w->certificate_url));
	w->csr = dec_blob(d, &w->csr_size);
	w->agree_terms = dec_u8(d);
	if (w->agree_terms > 1)
		d->bad = true;
}

static void put_failure(struct enc *e, const struct wire_failure *f)
{
	enc_u8(e, (uint8_t)f->verdict);
	enc_i64(e, f->retry_after_s);
	enc_u32(e, f->http_status);
	enc_text(e, f->type);
	enc_text(e, f->text);
}

static void get_failure(struct dec *d, struct wire_failure *f)
{
	const uint8_t verdict = dec_u8(d);

	if (verdict < WIRE_RETRY || verdict > WIRE_INPUT)
		d->bad = true;
	f->verdict = (enum wire_verdict)verdict;
	f->retry_after_s = dec_i64(d);
	if (f->retry_after_s < 0)
		d->bad = true;
	f->http_status = dec_u32(d);
	dec_text(d, f->type, sizeof(f->type));
	dec_text(d, f->text, sizeof(f->text));
}

static void put_tokens(struct enc *e, const struct wire_message *m)
{
	enc_u16(e, (uint16_t)m->tokens);
	for (size_t i = 0; i < m->tokens; i++) {
		enc_text(e, m->token[i].token);
		enc_text(e, m->token[i].authorization);
	}
}

static void get_tokens(struct dec *d, struct wire_message *m)
{
	m->tokens = dec_u16(d);
	if (m->tokens > WIRE_TOKENS_MAX) {
		m->tokens = 0;
		d->bad = true;
	}
	m->token = m->storage;
	for (size_t i = 0; i < m->tokens && !d->bad; i++) {
		dec_text(d, m->storage[i].token, sizeof(m->storage[i].token));
		dec_text(d, m->storage[i].authorization,
			 sizeof(m->storage[i].authorization));
	}
}

static void put_body(struct enc *e, const struct wire_message *m)
{
	switch (m->type) {
	case WIRE_HELLO:
	case WIRE_HELLO_ACK:
		enc_u64(e, m->epoch);
		break;
	case WIRE_JOB:
		put_job(e, &m->work);
		break;
	case WIRE_DROP:
	case WIRE_STORED:
	case WIRE_READY:
		break;
	case WIRE_SIGNATURE:
		enc_u32(e, m->sign.request);
		enc_blob(e, m->bytes, m->size);
		break;
	case WIRE_SIGN:
		enc_u32(e, m->sign.request);
		enc_u8(e, (uint8_t)m->sign.kind);
		enc_blob(e, m->bytes, m->size);
		break;
	case WIRE_ACCOUNT:
		enc_text(e, m->kid);
		break;
	case WIRE_STATE:
		enc_u8(e, (uint8_t)m->step.state);
		enc_text(e, m->step.order_url);
		enc_text(e, m->step.finalize_url);
		enc_text(e, m->step.certificate_url);
		break;
	case WIRE_ANSWERS:
	case WIRE_TOKENS:
		put_tokens(e, m);
		break;
	case WIRE_DONE:
		enc_blob(e, m->bytes, m->size);
		break;
	case WIRE_FAILED:
		put_failure(e, &m->failure);
		break;
	}
}

/* How many bytes a message's blob may have; the same on both sides. */
static size_t blob_max(enum wire_type type)
{
	if (type == WIRE_DONE)
		return WIRE_CHAIN_MAX;
	if (type == WIRE_SIGN)
		return WIRE_SIGN_MAX;
	return type == WIRE_SIGNATURE ? 64 : 0;
}

int wire_encode(const struct wire_message *m, unsigned char *out, size_t *size,
		struct error *err)
{
	struct enc e;

	if (m->size > blob_max(m->type))
		return error_set(err, EMSGSIZE,
				 "a message of type %d holds %zu bytes, %zu are allowed",
				 (int)m->type, m->size, blob_max(m->type));
	if (m->tokens > WIRE_TOKENS_MAX)
		return error_set(err, EMSGSIZE,
				 "a message holds %zu tokens, %d are allowed", m->tokens,
				 WIRE_TOKENS_MAX);
	enc_init(&e, out, WIRE_MESSAGE_MAX);
	enc_u8(&e, WIRE_VERSION);
	enc_u8(&e, (uint8_t)m->type);
	enc_u32(&e, m->job);
	put_body(&e, m);
	if (e.overflow)
		return error_set(err, EMSGSIZE,
				 "a message of type %d is longer than %d bytes",
				 (int)m->type, WIRE_MESSAGE_MAX);
	*size = e.size;
	return 0;
}

static void get_blob(struct dec *d, struct wire_message *m)
{
	m->bytes = dec_blob(d, &m->size);
	if (m->size > blob_max(m->type))
		d->bad = true;
}

static void get_sign(struct dec *d, struct wire_message *m)
{
	uint8_t kind;

	m->sign.request = dec_u32(d);
	if (m->type == WIRE_SIGN) {
		kind = dec_u8(d);
		if (kind != WIRE_SIGN_ACCOUNT && kind != WIRE_SIGN_EAB)
			d->bad = true;
		m->sign.kind = (enum wire_sign)kind;
	}
	get_blob(d, m);
}

static void get_step(struct dec *d, struct wire_message *m)
{
	m->step.state = get_state(d);
	dec_text(d, m->step.order_url, sizeof(m->step.order_url));
	dec_text(d, m->step.finalize_url, sizeof(m->step.finalize_url));
	dec_text(d, m->step.certificate_url, sizeof(m->step.certificate_url));
}

static void get_body(struct dec *d, struct wire_message *m)
{
	switch (m->type) {
	case WIRE_HELLO:
	case WIRE_HELLO_ACK:
		m->epoch = dec_u64(d);
		break;
	case WIRE_JOB:
		get_job(d, &m->work);
		break;
	case WIRE_DROP:
	case WIRE_STORED:
	case WIRE_READY:
		break;
	case WIRE_SIGNATURE:
	case WIRE_SIGN:
		get_sign(d, m);
		break;
	case WIRE_ACCOUNT:
		dec_text(d, m->kid, sizeof(m->kid));
		break;
	case WIRE_STATE:
		get_step(d, m);
		break;
	case WIRE_ANSWERS:
	case WIRE_TOKENS:
		get_tokens(d, m);
		break;
	case WIRE_DONE:
		get_blob(d, m);
		break;
	case WIRE_FAILED:
		get_failure(d, &m->failure);
		break;
	}
}

int wire_decode(const unsigned char *in, size_t size, struct wire_message *m,
		struct error *err)
{
	struct dec d;
	uint8_t version, type;

	memset(m, 0, offsetof(struct wire_message, storage));
	if (size > WIRE_MESSAGE_MAX)
		return error_set(err, EPROTO, "a packet of %zu bytes is longer than %d",
				 size, WIRE_MESSAGE_MAX);
	dec_init(&d, in, size);
	version = dec_u8(&d);
	type = dec_u8(&d);
	m->job = dec_u32(&d);
	if (d.bad)
		return error_set(err, EPROTO, "a packet of %zu bytes is no message",
				 size);
	if (version != WIRE_VERSION)
		return error_set(err, EPROTO,
				 "a message of version %u, this is version %d", version,
				 WIRE_VERSION);
	if (type < WIRE_HELLO || type > WIRE_FAILED)
		return error_set(err, EPROTO, "a message of the unknown type %u", type);
	m->type = (enum wire_type)type;
	get_body(&d, m);
	if (!dec_done(&d))
		return error_set(err, EPROTO,
				 "a message of type %u and %zu bytes is malformed", type,
				 size);
	return 0;
}

struct packet {
	struct packet *next;
	size_t size;
	unsigned char data[];
};

struct wire_link {
	int fd;
	struct packet *head, **tail;
	size_t waiting;
	unsigned char out[WIRE_MESSAGE_MAX];
	unsigned char in[WIRE_MESSAGE_MAX];
	struct wire_message message;
};

int wire_link_new(struct wire_link **link, int fd, struct error *err)
{
	struct wire_link *l;
	const int flags = fcntl(fd, F_GETFL);
	const int room = 4 * WIRE_MESSAGE_MAX;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return error_set(err, errno,
				 "the link between the workers is unusable: %s",
				 strerror(errno));
	/* A packet that is larger than the send buffer is refused for good; the kernel
	 * caps this at net.core.wmem_max, whose default is enough. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) < 0)
		return error_set(err, errno,
				 "the link between the workers is no socket: %s",
				 strerror(errno));
	l = calloc(1, sizeof(*l));
	if (!l)
		return error_set(err, ENOMEM,
				 "no memory for the link between the workers");
	l->fd = fd;
	l->tail = &l->head;
	*link = l;
	return 0;
}

void wire_link_forget(struct wire_link *link)
{
	struct packet *p;

	while ((p = link->head)) {
		link->head = p->next;
		free(p);
	}
	link->tail = &link->head;
	link->waiting = 0;
}

void wire_link_free(struct wire_link *link)
{
	if (!link)
		return;
	wire_link_forget(link);
	free(link);
}

short wire_link_events(const struct wire_link *link)
{
	return (short)(POLLIN | (link->head ? POLLOUT : 0));
}

/* 0, -EAGAIN, or what is wrong with the socket. */
static int transmit(int fd, const unsigned char *data, size_t size, struct error *err)
{
	ssize_t n;

	do
		n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	/* ENOBUFS: the kernel is short of memory; as a full queue, it passes. */
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
		return -EAGAIN;
	if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
		return error_set(err, EPIPE,
				 "the other worker's end of the link is closed");
	return error_set(err, errno,
			 "the link between the workers takes no packet of %zu bytes: %s",
			 size, strerror(errno));
}

static int enqueue(struct wire_link *link, size_t size, struct error *err)
{
	struct packet *p;

	if (link->waiting >= WIRE_QUEUE_MAX)
		return error_set(err, EAGAIN, "the other worker hasn't read %d messages",
				 WIRE_QUEUE_MAX);
	p = malloc(sizeof(*p) + size);
	if (!p)
		return error_set(err, ENOMEM, "no memory for a message of %zu bytes",
				 size);
	p->next = NULL;
	p->size = size;
	memcpy(p->data, link->out, size);
	*link->tail = p;
	link->tail = &p->next;
	link->waiting++;
	return 0;
}

int wire_link_send(struct wire_link *link, const struct wire_message *m,
		   struct error *err)
{
	size_t size;
	int r = wire_encode(m, link->out, &size, err);

	if (r < 0)
		return r;
	r = link->head ? -EAGAIN : transmit(link->fd, link->out, size, err);
	return r == -EAGAIN ? enqueue(link, size, err) : r;
}

int wire_link_flush(struct wire_link *link, struct error *err)
{
	struct packet *p;
	int r;

	while ((p = link->head)) {
		r = transmit(link->fd, p->data, p->size, err);
		if (r < 0)
			return r == -EAGAIN ? 0 : r;
		link->head = p->next;
		if (!link->head)
			link->tail = &link->head;
		link->waiting--;
		free(p);
	}
	return 0;
}

int wire_link_receive(struct wire_link *link, struct wire_message **m, struct error *err)
{
	struct pollfd pfd = {.fd = link->fd, .events = POLLRDHUP};
	ssize_t n;
	int r;

	do
		n = recv(link->fd, link->in, sizeof(link->in), MSG_DONTWAIT | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return -EAGAIN;
	if (n < 0 && errno != ECONNRESET && errno != ENOTCONN)
		return error_set(err, errno,
				 "the link between the workers cannot be read: %s",
				 strerror(errno));
	/* An empty packet reads as the end does; only a hang-up is the end. */
	if (n < 0 ||
	    (n == 0 && poll(&pfd, 1, 0) > 0 && (pfd.revents & (POLLHUP | POLLRDHUP))))
		return error_set(err, EPIPE,
				 "the other worker's end of the link is closed");
	if ((size_t)n > sizeof(link->in))
		return error_set(err, EPROTO, "a packet of %zd bytes is longer than %d",
				 n, WIRE_MESSAGE_MAX);
	r = wire_decode(link->in, (size_t)n, &link->message, err);
	if (r < 0)
		return r;
	*m = &link->message;
	return 0;
}
