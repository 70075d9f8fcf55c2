/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/node.h"

#include "fs/status.h"

#define KIND_BITS    7
#define GEN_SHIFT    8
#define NUMBER_SHIFT 32
#define KIND_MASK    ((1u << KIND_BITS) - 1)

_Static_assert(NODE_KINDS <= KIND_MASK, "a kind fits its bits");
_Static_assert((int)CONTROL_FILES <= 8, "control files fit their kinds");

uint64_t node_id(uint32_t number, uint32_t gen, unsigned kind)
{
	return (uint64_t)number << NUMBER_SHIFT |
	       (uint64_t)(gen & 0xffffffu) << GEN_SHIFT | (kind & KIND_MASK);
}

/* The base of a kind that stands for several, and where it lies above it. */
static enum node_kind base_of(unsigned kind, unsigned *index)
{
	*index = 0;
	if (kind >= NODE_FILE && kind < NODE_FILE + (unsigned)FILE_KINDS) {
		*index = kind - NODE_FILE;
		return NODE_FILE;
	}
	if (kind >= NODE_HISTORY_FILE &&
	    kind < NODE_HISTORY_FILE + (unsigned)FILE_KINDS) {
		*index = kind - NODE_HISTORY_FILE;
		return NODE_HISTORY_FILE;
	}
	if (kind >= NODE_CONTROL && kind < NODE_COMBINED_DIR) {
		*index = kind - NODE_CONTROL;
		return NODE_CONTROL;
	}
	return (enum node_kind)kind;
}

bool node_of(uint64_t id, struct node *node)
{
	unsigned kind = (unsigned)(id & KIND_MASK);
	if (kind == 0 || kind >= NODE_KINDS)
		return false;
	node->number = (uint32_t)(id >> NUMBER_SHIFT);
	node->gen = (uint32_t)(id >> GEN_SHIFT) & 0xffffffu;
	node->kind = base_of(kind, &node->index);
	node->alias = id & NODE_ALIAS_BIT;
	return node->kind != NODE_CONTROL || node->index < (unsigned)CONTROL_FILES;
}

uint64_t node_dir(uint32_t number)
{
	return node_id(number, 0, NODE_DIR);
}

uint64_t node_file(uint32_t number, uint32_t gen, enum file_kind kind)
{
	return node_id(number, gen, NODE_FILE + (unsigned)kind);
}

/* FNV-1a: tokens are random, and a clash of 56 bits only shows another live token's
 * answer, which is public. */
uint64_t node_token(const char *token)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	for (; *token; token++)
		hash = (hash ^ (unsigned char)*token) * 0x100000001b3ULL;
	return hash << GEN_SHIFT | NODE_TOKEN;
}
