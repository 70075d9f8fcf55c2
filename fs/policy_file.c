/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/policy_file.h"

#include "acme/engine.h"
#include "fs/install.h"
#include "store/changed.h"

#include <errno.h>
#include <string.h>

static void note_owner(struct domain *d, const struct item *item)
{
	struct owner *o = &d->page[PAGE_POLICY];
	if (item->mode != OWNER_KEEP)
		o->mode = page_mode(item->mode);
	if (item->owner_uid != OWNER_KEEP)
		o->uid = item->owner_uid;
	if (item->owner_gid != OWNER_KEEP)
		o->gid = item->owner_gid;
}

static int take(struct item *item, struct txn *txn, struct domain *d, struct error *err)
{
	int64_t now_s = clock_now_s(item->fs->clk);
	if (!d->installed)
		return error_set(err, ENOENT, "it was removed meanwhile");
	const struct config *cfg = item->fs->cfg;
	uint32_t may = policy_keep(&d->policy, cfg);
	int r = policy_parse(secret_data(item->content), secret_size(item->content),
			     &d->policy, err);
	if (r < 0)
		return r;
	if (may < cfg->keep)
		may = cfg->keep;
	if (item->uid != 0 && policy_keep(&d->policy, cfg) > may)
		return error_set(err, EINVAL,
				 "'keep' is at most %u here; root may set more", may);
	d->policy.written_s = item->mtime_s ? item->mtime_s : now_s;
	d->refused[0] = '\0';
	note_owner(d, item);
	r = domain_put(txn, d, err);
	/* Another key type or number of generations, another time of renewal. */
	if (r == 0)
		r = engine_touch_in(txn, d->number, now_s, err);
	if (r == 0)
		r = changed_mark(txn, d->number, 0, &item->serial_changed, err);
	item->changed = d->number;
	item_line(item, d, "policy was written by uid %u", item->uid);
	return r;
}

int policy_file_run(struct item *item, struct txn *txn, struct error *err)
{
	struct domain d;
	if (!item->content)
		return error_set(err, EIO,
				 "policy must be written again: the process that held it "
				 "was replaced before it was closed");
	int r = domain_get(txn, item->number, &d, err);
	if (r < 0)
		return r;
	memcpy(item->domain, d.name.text, sizeof(item->domain));
	r = take(item, txn, &d, err);
	if (r < 0)
		error_context(err, "policy of %s", d.name.text);
	return r;
}

/* `req` NULL: nobody waits. */
static void submit(struct fs *fs, fuse_req_t req, struct handle *h)
{
	struct item *item = work_item(fs, req, policy_file_run);
	if (!item)
		return;
	item->failed = install_refused;
	item->number = h->number;
	item->uid = h->uid;
	item->mode = h->mode;
	item->owner_uid = h->owner_uid;
	item->owner_gid = h->owner_gid;
	item->mtime_s = h->mtime_s;
	item->content =
	    h->content ? secret_copy(secret_data(h->content), secret_size(h->content))
		       : secret_new(0);
	if (!item->content) {
		item->run = NULL;
		item->result = -ENOMEM;
		work_answer(item);
		return;
	}
	h->dirty = h->emptied = false;
	if (req)
		gone_note(&fs->wrote, fuse_req_ctx(req)->pid, h->number, FILE_KINDS,
			  fs_now_ms());
	work_submit(item);
}

static bool ends_a_line(const struct secret *content)
{
	size_t size = secret_size(content);
	return size > 0 && secret_data(content)[size - 1] == '\n';
}

void policy_file_flush(fuse_req_t req, struct handle *h)
{
	bool counts = fuse_req_ctx(req)->pid == h->opener;
	if (h->dirty && h->content && (counts || ends_a_line(h->content)))
		submit(fs_of(req), req, h);
	else
		fuse_reply_err(req, 0);
}

void policy_file_release(struct fs *fs, struct handle *h)
{
	/* Only now is it certain that no line comes after the emptying. */
	if (h->emptied && (!h->content || secret_size(h->content) == 0))
		submit(fs, NULL, h);
}
