/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/publish_wire.h"

#include "store/codec.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

void publish_encode(const struct publish_message *m, unsigned char out[PUBLISH_SIZE])
{
	struct enc e;
	size_t length = strnlen(m->text, sizeof(m->text) - 1);

	memset(out, 0, PUBLISH_SIZE);
	enc_init(&e, out, PUBLISH_SIZE);
	enc_u8(&e, PUBLISH_VERSION);
	enc_u8(&e, (uint8_t)m->type);
	enc_u8(&e, m->files);
	enc_u8(&e, 0);
	enc_u32(&e, m->result);
	enc_u64(&e, m->epoch);
	enc_u64(&e, m->sequence);
	memcpy(out + e.size, m->text, length);
}

/* One component of a path that isn't hidden. */
static bool is_folder(const char *name)
{
	size_t length = strlen(name);
	return length > 0 && length < NAME_MAX_TEXT && name[0] != '.' &&
	       !strchr(name, '/') &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz"
			    "0123456789.-_:") == length;
}

static bool is_sentence(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

/* Whether what the type has no use for is empty, and the rest is what it says. */
static bool is_sound(const struct publish_message *m)
{
	switch (m->type) {
	case PUBLISH_HERE:
		return !m->sequence && !m->result && !m->files && !m->text[0];
	case PUBLISH_HELLO:
		return m->epoch && !m->sequence && !m->result && !m->files && !m->text[0];
	case PUBLISH_NAMES:
		return m->epoch && !m->result && m->files && m->files <= PUBLISH_FILES &&
		       is_folder(m->text);
	case PUBLISH_DONE:
		return m->epoch && m->result < 4096 && !m->files && !m->text[0];
	case PUBLISH_CHANGED:
		return m->epoch && !m->result && !m->files && is_folder(m->text);
	case PUBLISH_HOOK:
		return m->epoch && m->result <= 1 && !m->files &&
		       (m->result != 0) == (m->text[0] != '\0') && is_sentence(m->text);
	case PUBLISH_TYPES:
		break;
	}
	return false;
}

int publish_decode(const unsigned char *data, size_t size, struct publish_message *m,
		   struct error *err)
{
	struct dec d;
	if (size != PUBLISH_SIZE)
		return error_set(err, EPROTO, "a message of %zu bytes, not %d", size,
				 PUBLISH_SIZE);
	memset(m, 0, sizeof(*m));
	dec_init(&d, data, size);
	unsigned version = dec_u8(&d), type = dec_u8(&d);
	m->files = dec_u8(&d);
	unsigned reserved = dec_u8(&d);
	m->result = dec_u32(&d);
	m->epoch = dec_u64(&d);
	m->sequence = dec_u64(&d);
	memcpy(m->text, data + (PUBLISH_SIZE - PUBLISH_TEXT), PUBLISH_TEXT);
	if (version != PUBLISH_VERSION)
		return error_set(err, EPROTO, "a message of version %u, not %d", version,
				 PUBLISH_VERSION);
	if (type == 0 || type >= PUBLISH_TYPES || reserved)
		return error_set(err, EPROTO, "a message of an unknown type %u", type);
	m->type = (enum publish_type)type;
	size_t length = strnlen(m->text, PUBLISH_TEXT);
	for (size_t i = length; i < PUBLISH_TEXT; i++)
		if (m->text[i])
			length = PUBLISH_TEXT;
	if (length == PUBLISH_TEXT || !is_sound(m))
		return error_set(err, EPROTO, "a message of type %u that makes no sense",
				 type);
	return 0;
}

int publish_send(int fd, const struct publish_message *m)
{
	unsigned char packet[PUBLISH_SIZE];
	ssize_t sent;
	publish_encode(m, packet);
	do
		sent = send(fd, packet, sizeof(packet), MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

int publish_receive(int fd, struct publish_message *m, struct error *err)
{
	unsigned char packet[PUBLISH_SIZE + 1];
	error_clear(err);
	for (;;) {
		struct error why;
		ssize_t got = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
		if (got == 0)
			return -ECONNRESET;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (publish_decode(packet, (size_t)got, m, &why) == 0)
			return 1;
		*err = why;
	}
}
