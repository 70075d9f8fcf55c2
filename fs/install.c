/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/install.h"

#include "store/changed.h"
#include "store/due.h"
#include "store/event.h"
#include "store/generation.h"
#include "store/owed.h"
#include "store/waiting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All that is at hand for one install: what was just written, what waits, what is in
 * force. */
struct making {
	struct domain domain;
	struct name alias[DOMAIN_ALIASES_MAX];
	size_t aliases;
	int64_t now_s;
	struct waiting waiting;
	struct pem written;
	struct pem waits[FILE_KINDS];            /* the waiting files, parsed */
	bool fits[FILE_KINDS];                   /* they say what the pair is */
	struct pair custom;                      /* in force; custom.key NULL: none */
	struct pem_cert cert[3 * PEM_CERTS_MAX]; /* borrowed */
	size_t certs;
	const struct secret *key; /* borrowed */
	char again[80];           /* which generation it is once more; "": none */
};

static void making_free(struct making *m)
{
	if (!m)
		return;
	waiting_clear(&m->waiting);
	pem_clear(&m->written);
	for (int i = 0; i < FILE_KINDS; i++)
		pem_clear(&m->waits[i]);
	pair_clear(&m->custom);
	free(m);
}

/* For the commands in reasons. */
struct folder {
	char path[300];
};

static int parse(const struct item *item, const struct making *m, enum file_kind kind,
		 const struct secret *content, struct pem *pem, struct error *err)
{
	struct folder folder;
	const struct pem_place place = {.dir = folder.path, .file = file_name[kind]};
	snprintf(folder.path, sizeof(folder.path), "%s/%s", item->fs->mountpoint,
		 m->domain.name.text);
	return pem_parse_at(&place, secret_data(content), secret_size(content), pem, err);
}

static int gather(struct making *m, const struct item *item, struct txn *txn,
		  struct error *err)
{
	struct current c;
	m->now_s = clock_now_s(item->fs->clk);
	int r = domain_get(txn, item->number, &m->domain, err);
	if (r == 0 && !m->domain.installed)
		r = error_set(err, ENOENT, "%s was removed meanwhile",
			      m->domain.name.text);
	if (r == 0)
		r = domain_aliases(txn, item->number, m->alias, &m->aliases, err);
	if (r == 0)
		r = waiting_get(txn, item->number, m->now_s, &m->waiting, err);
	for (int i = 0; i < FILE_KINDS && r == 0; i++)
		if (m->waiting.file[i])
			r = parse(item, m, (enum file_kind)i, m->waiting.file[i],
				  &m->waits[i], err);
	if (r == 0)
		r = current_get(txn, item->number, &c, err);
	if (r == 0 && c.newest[SOURCE_CUSTOM])
		r = generation_pair(txn, item->number, c.newest[SOURCE_CUSTOM],
				    &m->custom, err);
	return r;
}

static int expect(const struct item *item, const struct pem *pem, struct error *err)
{
	if (item->kind == FILE_PRIVKEY && !pem->key)
		return error_set(err, EBADMSG,
				 "there is no private key in it: write the certificates "
				 "to fullchain.pem");
	if (item->kind == FILE_COMBINED && (!pem->key || pem->certs == 0))
		return error_set(err, EBADMSG,
				 "combined.pem wants the private key and the "
				 "certificates in one file");
	if (!file_is_secret(item->kind) && pem->key)
		return error_set(err, EKEYREJECTED,
				 "there is a private key in it, and everybody may read "
				 "%s: write the key to privkey.pem, or all of it to "
				 "combined.pem",
				 file_name[item->kind]);
	if (item->kind != FILE_PRIVKEY && pem->certs == 0)
		return error_set(err, EBADMSG, "there is no certificate in it");
	return 0;
}

static void use_certs(struct making *m, const struct pem_cert *certs, size_t count)
{
	for (size_t i = 0; i < count && m->certs < 3 * PEM_CERTS_MAX; i++)
		m->cert[m->certs++] = certs[i];
}

static void use_chain_file(struct making *m, const struct item *item)
{
	if (item->kind != FILE_CHAIN)
		use_certs(m, m->waits[FILE_CHAIN].cert, m->waits[FILE_CHAIN].certs);
}

/* The certificates for a key that was just written: those that wait, else those in force
 * whose key it is (the same pair written once more). */
static void use_known_certs(struct making *m)
{
	const struct pem *p =
	    &m->waits[m->waiting.file[FILE_FULLCHAIN] ? FILE_FULLCHAIN : FILE_CERT];
	use_certs(m, p->cert, p->certs);
	if (p->certs == 0 && m->custom.key &&
	    x509_key_fits(&m->custom.leaf, 1, m->written.key)) {
		use_certs(m, &m->custom.leaf, 1);
		use_certs(m, m->custom.chain, m->custom.chain_size);
	}
}

/* The key for certificates that were just written: the one that waits, else the one in
 * force where it fits (a renewal with the same key). */
static void use_known_key(struct making *m)
{
	if (m->waits[FILE_PRIVKEY].key)
		m->key = m->waits[FILE_PRIVKEY].key;
	else if (m->custom.key &&
		 x509_key_fits(m->written.cert, m->written.certs, m->custom.key))
		m->key = m->custom.key;
}

/* A chain for the custom certificate in force. */
static bool chain_for_custom(struct making *m)
{
	struct pair trial;
	struct error ignored;
	if (!m->custom.key)
		return false;
	m->certs = 0;
	use_certs(m, &m->custom.leaf, 1);
	use_certs(m, m->written.cert, m->written.certs);
	if (x509_pair(m->cert, m->certs, m->custom.key, &m->domain.name, m->alias,
		      m->aliases, m->now_s, &trial, &ignored) < 0) {
		m->certs = 0;
		return false;
	}
	pair_clear(&trial);
	m->key = m->custom.key;
	return true;
}

static struct waiting_marks marks_of(const struct item *item)
{
	return (struct waiting_marks){item->mtime_s, item->owner_uid, item->owner_gid,
				      item->mode};
}

static void note_marks(struct domain *d, enum file_kind kind,
		       const struct waiting_marks *marks)
{
	if (marks->uid != OWNER_KEEP)
		d->file[kind].uid = marks->uid;
	if (marks->gid != OWNER_KEEP)
		d->file[kind].gid = marks->gid;
	if (marks->mode != OWNER_KEEP)
		d->file[kind].mode = file_mode(kind, marks->mode);
	if (marks->mtime_s)
		d->mtime_s[kind] = marks->mtime_s;
}

/* chmod, chown and utimens come before the close (cp -p) or the rename (rsync), and go along;
 * those of the half that waited come into force now. */
static void note_attributes(struct making *m, const struct item *item, uint32_t gen)
{
	struct domain *d = &m->domain;
	struct waiting_marks marks = marks_of(item);
	if (d->times_gen != gen) {
		d->times_gen = gen;
		memset(d->mtime_s, 0, sizeof(d->mtime_s));
		for (int i = 0; i < FILE_KINDS; i++)
			if (m->fits[i])
				note_marks(d, (enum file_kind)i, &m->waiting.marks[i]);
	}
	note_marks(d, item->kind, &marks);
}

static int keep_waiting(struct making *m, struct item *item, struct txn *txn,
			struct error *err)
{
	struct waiting_marks marks = marks_of(item);
	int r;
	if (item->kind == FILE_PRIVKEY)
		r = x509_check_key(m->written.key, err);
	else if (item->kind == FILE_CHAIN)
		r = 0;
	else
		r = x509_check_certs(m->written.cert, m->written.certs, &m->domain.name,
				     m->alias, m->aliases, m->now_s, err);
	if (r == 0)
		r = waiting_put(txn, item->number, item->kind, item->content, item->uid,
				&marks, m->now_s, err);
	m->domain.refused[0] = '\0';
	m->domain.remove_custom_s = 0;
	if (r == 0)
		r = domain_put(txn, &m->domain, err);
	item_line(item, &m->domain, "%s was written by uid %u and waits for %s",
		  file_name[item->kind], item->uid,
		  item->kind == FILE_PRIVKEY ? "its certificate" : "its key");
	item->changed = item->number;
	if (r == 0) /* the engine drops it then */
		r = due_sooner(txn, item->number, m->now_s + WAITING_S, err);
	return r;
}

/* Is everything at hand? Fills m->cert and m->key when it is. */
static bool complete(struct making *m, const struct item *item)
{
	m->certs = 0;
	m->key = m->written.key;
	if (item->kind == FILE_CHAIN)
		return chain_for_custom(m);
	if (m->written.certs)
		use_certs(m, m->written.cert, m->written.certs);
	else
		use_known_certs(m);
	use_chain_file(m, item);
	if (!m->key)
		use_known_key(m);
	return m->key && m->certs > 0;
}

static bool same_cert(const struct pem_cert *a, const struct pem_cert *b)
{
	return a->size == b->size && memcmp(a->der, b->der, a->size) == 0;
}

static bool same_chain(const struct pair *a, const struct pair *b)
{
	bool same = a->chain_size == b->chain_size;
	for (size_t i = 0; same && i < a->chain_size; i++)
		same = same_cert(&a->chain[i], &b->chain[i]);
	return same;
}

static bool same_bytes(const struct secret *a, const struct secret *b)
{
	return secret_size(a) == secret_size(b) &&
	       memcmp(secret_data(a), secret_data(b), secret_size(a)) == 0;
}

static bool same_pair(const struct pair *a, const struct pair *b)
{
	return a->key && b->key && same_cert(&a->leaf, &b->leaf) && same_chain(a, b);
}

/* Has this file the same in it, however it is spelt? */
static bool same_in(enum file_kind kind, const struct pair *a, const struct pair *b)
{
	bool leaf = kind != FILE_CHAIN && kind != FILE_PRIVKEY;
	bool chain = kind != FILE_CERT && kind != FILE_PRIVKEY;
	return a->key && b->key && (!leaf || same_cert(&a->leaf, &b->leaf)) &&
	       (!chain || same_chain(a, b)) &&
	       (!file_is_secret(kind) || same_bytes(a->key, b->key));
}

static bool has_cert(const struct pem *file, const struct pem_cert *cert)
{
	bool has = false;
	for (size_t i = 0; i < file->certs; i++)
		has |= same_cert(&file->cert[i], cert);
	return has;
}

/* Does a file say what `pair` is, and the leaf first, for which servers take the first
 * certificate? Only then is it read back as it was written. */
static bool is_of(enum file_kind kind, const struct pem *file, const struct pair *pair)
{
	bool leaf = kind != FILE_CHAIN && kind != FILE_PRIVKEY;
	bool is = file->certs > 0 || file->key;
	if (file_is_secret(kind))
		is = file->key && same_bytes(file->key, pair->key);
	if (leaf)
		is = is && file->certs > 0 && same_cert(&file->cert[0], &pair->leaf);
	for (size_t i = 0; is && kind == FILE_CHAIN && i < pair->chain_size; i++)
		is = has_cert(file, &pair->chain[i]);
	return is;
}

/* What was written to the other names is read back as it was written for as long as it
 * is true: a new spelling of the certificate is none of the key. */
static int keep_written(const struct making *m, const struct item *item, struct txn *txn,
			const struct pair *pair, struct written *written,
			struct secret **kept, struct error *err)
{
	struct current c;
	int r = current_get(txn, item->number, &c, err);
	for (int i = 0; i < FILE_KINDS && r == 0; i++) {
		enum file_kind kind = (enum file_kind)i;
		if (written->file[i] || !same_in(kind, pair, &m->custom))
			continue;
		r = generation_written(txn, item->number, c.newest[SOURCE_CUSTOM], kind,
				       &kept[i], err);
		written->file[i] = kept[i];
	}
	return r;
}

static int note_served(struct making *m, struct item *item, struct txn *txn, uint32_t gen,
		       struct error *err)
{
	bool changed;
	int64_t until_s;
	int r = current_choose(txn, item->number, m->now_s, SERVE_NOW, &changed, &until_s,
			       err);
	if (r == 0)
		r = changed_mark(txn, item->number, 0, &item->serial_changed, err);
	item->changed = item->number;
	item->served_changed = changed;
	if (r == 0 && changed && item->told_of)
		r = owed_leave_out(txn, item->number, item->told_of, err);
	m->domain.refused[0] = '\0';
	m->domain.remove_custom_s = 0;
	m->domain.changed_s = m->now_s;
	note_attributes(m, item, gen);
	if (r == 0)
		r = domain_put(txn, &m->domain, err);
	if (r == 0)
		r = waiting_drop(txn, item->number, err);
	if (r == 0)
		r = item_event(item, txn, EVENT_CUSTOM, &m->domain, err,
			       "generation %u, a custom certificate, was installed by "
			       "uid %u%s",
			       gen, item->uid, m->again);
	if (r == 0)
		r = work_touch_in(item->fs, txn, &m->domain, m->now_s, err);
	return r;
}

#define HISTORY_LOOKED 1000

/* A cp out of `.history` takes a change back, which its event says. */
static int note_again(struct making *m, const struct item *item, struct txn *txn,
		      const struct pair *pair, struct error *err)
{
	uint32_t gens[HISTORY_LOOKED];
	size_t count;
	struct cert_info info;
	int r = x509_info(&pair->leaf, &info, err);
	if (r == 0)
		r = generation_list(txn, item->number, gens, HISTORY_LOOKED, &count, err);
	for (size_t i = 0; r == 0 && i < count && !m->again[0]; i++) {
		struct pair before;
		struct generation g;
		r = generation_get(txn, item->number, gens[i], &g, err);
		if (r < 0 || memcmp(g.info.sha256, info.sha256, sizeof(info.sha256)) != 0)
			continue;
		r = generation_pair(txn, item->number, gens[i], &before, err);
		if (r < 0)
			continue;
		if (same_pair(pair, &before))
			snprintf(m->again, sizeof(m->again),
				 ": it is generation %u (%s) again", g.gen,
				 source_name(g.source));
		pair_clear(&before);
	}
	return r;
}

static int store_pair(struct making *m, struct item *item, struct txn *txn,
		      const struct pair *pair, struct error *err)
{
	struct written written = {{NULL}};
	struct secret *kept[FILE_KINDS] = {NULL};
	char origin[64];
	uint32_t gen;
	snprintf(origin, sizeof(origin), "written by uid %u", item->uid);
	for (int i = 0; i < FILE_KINDS; i++)
		if (m->fits[i])
			written.file[i] = m->waiting.file[i];
	written.file[item->kind] =
	    is_of(item->kind, &m->written, pair) ? item->content : NULL;
	int r = note_again(m, item, txn, pair, err);
	if (r == 0)
		r = keep_written(m, item, txn, pair, &written, kept, err);
	if (r == 0)
		r = generation_add(
		    txn, item->number, pair, SOURCE_CUSTOM, &written, origin, m->now_s,
		    policy_keep(&m->domain.policy, item->fs->cfg), &gen, err);
	if (r == 0)
		r = note_served(m, item, txn, gen, err);
	for (int i = 0; i < FILE_KINDS; i++)
		secret_free(kept[i]);
	return r;
}

/* The same pair written once more (rsync, a second cp) is no new generation, unless its
 * bytes differ from what is read back. */
static bool already_there(const struct item *item, struct txn *txn,
			  const struct making *m, const struct pair *pair)
{
	struct current c;
	struct secret *now = NULL;
	struct error ignored;
	bool same = false;
	if (!same_pair(pair, &m->custom) ||
	    current_get(txn, item->number, &c, &ignored) < 0 ||
	    generation_read(txn, item->number, c.newest[SOURCE_CUSTOM], item->kind, &now,
			    &ignored) < 0)
		return false;
	/* What is put in order is never read back as it was written. */
	same = same_bytes(now, item->content) || !is_of(item->kind, &m->written, pair);
	secret_free(now);
	return same;
}

static int keep_again(struct making *m, struct item *item, struct txn *txn,
		      struct error *err)
{
	struct current c;
	int r = current_get(txn, item->number, &c, err);
	if (r < 0)
		return r;
	note_attributes(m, item, c.newest[SOURCE_CUSTOM]);
	m->domain.refused[0] = '\0';
	m->domain.remove_custom_s = 0;
	item->changed = item->number;
	r = domain_put(txn, &m->domain, err);
	if (r == 0)
		r = waiting_drop(txn, item->number, err);
	/* The kernel keeps the attributes that it has until it is told. */
	if (r == 0)
		r = changed_mark(txn, item->number, 0, &item->serial_changed, err);
	return r;
}

static int install(struct making *m, struct item *item, struct txn *txn,
		   struct error *err)
{
	struct pair pair;
	int r = x509_pair(m->cert, m->certs, m->key, &m->domain.name, m->alias,
			  m->aliases, m->now_s, &pair, err);
	if (r < 0 && m->waits[FILE_CHAIN].certs && m->written.certs) {
		/* What waits is a stranger to it; what was written may be whole. */
		struct error ignored;
		m->certs = 0;
		use_certs(m, m->written.cert, m->written.certs);
		r = x509_pair(m->cert, m->certs, m->key, &m->domain.name, m->alias,
			      m->aliases, m->now_s, &pair, &ignored);
	}
	if (r < 0)
		return r;
	for (int i = 0; i < FILE_KINDS; i++)
		m->fits[i] = is_of((enum file_kind)i, &m->waits[i], &pair);
	if (already_there(item, txn, m, &pair))
		r = keep_again(m, item, txn, err);
	else
		r = store_pair(m, item, txn, &pair, err);
	pair_clear(&pair);
	return r;
}

int install_run(struct item *item, struct txn *txn, struct error *err)
{
	if (!item->content)
		return error_set(
		    err, EIO,
		    "the file's writer must write it again: the process that "
		    "held it was replaced before it was closed");
	struct making *m = calloc(1, sizeof(*m));
	if (!m)
		return error_set(err, ENOMEM, "no memory to install a file");
	int r = gather(m, item, txn, err);
	if (r == 0 && item->size > PEM_FILE_MAX)
		r = pem_check_size(item->size, err);
	if (r == 0)
		r = parse(item, m, item->kind, item->content, &m->written, err);
	if (r == 0)
		r = expect(item, &m->written, err);
	if (r == 0)
		r = complete(m, item) ? install(m, item, txn, err)
				      : keep_waiting(m, item, txn, err);
	snprintf(item->domain, sizeof(item->domain), "%s", m->domain.name.text);
	if (r < 0)
		error_context(err, "%s of %s", file_name[item->kind],
			      m->domain.name.text[0] ? m->domain.name.text
						     : "a removed name");
	making_free(m);
	return r;
}

static int note_refusal(struct item *item, struct txn *txn, const char *why,
			struct error *err)
{
	struct domain d;
	int64_t now_s = clock_now_s(item->fs->clk);
	if (domain_get(txn, item->number, &d, err) < 0)
		return 0; /* removed meanwhile: there is nobody to tell */
	size_t length = strlen(why);
	if (length >= sizeof(d.refused))
		length = sizeof(d.refused) - 1;
	memcpy(d.refused, why, length);
	d.refused[length] = '\0';
	d.refused_s = now_s;
	snprintf(item->domain, sizeof(item->domain), "%s", d.name.text);
	int r = domain_put(txn, &d, err);
	if (r == 0)
		r = event_add(txn, EVENT_REFUSED, item->number, now_s, err, "refused: %s",
			      why);
	return r;
}

int install_refused(struct item *item, struct txn *txn, struct error *err)
{
	return item->content ? note_refusal(item, txn, item->error.text, err) : 0;
}

int install_unfinished(struct item *item, struct txn *txn, struct error *err)
{
	char why[200];
	const char *name =
	    item->kind == FILE_KINDS ? page_name[PAGE_POLICY] : file_name[item->kind];
	snprintf(why, sizeof(why),
		 item->size > 0
		     ? "%s was left unfinished by its writer and is discarded: write it "
		       "again, whole"
		     : "%s was emptied, which changes nothing: write it whole, or take a "
		       "custom certificate away with rm",
		 name);
	int r = note_refusal(item, txn, why, err);
	if (r == 0)
		log_warning(item->fs->lg, item->domain,
			    "%s; what was served goes on being served", why);
	return r;
}
