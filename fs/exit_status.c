/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/exit_status.h"

#include <errno.h>
#include <sysexits.h>

int exit_status_of(int code)
{
	switch (code) {
	case 0:
		return EX_OK;
	case EINVAL:
	case EPROTO:
		return EX_CONFIG;
	case ENOENT:
	case ENOTDIR:
	case ENOTEMPTY:
		return EX_NOINPUT;
	case EPERM:
	case EACCES:
		return EX_NOPERM;
	case EBUSY:
	case EAGAIN:
		return EX_TEMPFAIL;
	case EADDRINUSE:
	case EADDRNOTAVAIL:
	case ECONNABORTED:
		return EX_UNAVAILABLE;
	case EBADMSG:
		return EX_DATAERR;
	}
	return EX_OSERR;
}
