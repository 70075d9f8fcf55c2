/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (C) 2026 The certfs authors */
#include "fs/child.h"
#include "fs/command.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const char usage[] =
    "usage: certfs mount [-f] [-c FILE] [-o OPTIONS] MOUNTPOINT\n"
    "       certfs status [-m MOUNTPOINT] [--json] [DOMAIN...]\n"
    "       certfs reload [MOUNTPOINT]\n"
    "       certfs version\n"
    "\n"
    "A filesystem whose directories hold a valid certificate and its key. Once it is\n"
    "mounted, mkdir MOUNTPOINT/app.example.com orders a certificate for that name.\n"
    "\n"
    "mount options:\n"
    "  -f            stay in the foreground (for a service manager)\n"
    "  -c FILE       the configuration (default /etc/certfs.conf)\n"
    "  -o conf=FILE  the same, for fstab; options of mount(8) are taken and ignored\n"
    "  -o ro,of=DIR  one more mount, read-only, of the certfs at DIR (default "
    "/etc/certs):\n"
    "                for servers that read certificates often, and for containers\n";

static int version(void)
{
	puts("certfs " CERTFS_VERSION);
	return EX_OK;
}

int main(int argc, char **argv)
{
	int status;
	if (child_main(&status))
		return status;
	if (command_resume(argv, &status))
		return status;

	/* mount(8) runs mount.fuse.certfs, a symlink to this program. */
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "certfs";
	if (strncmp(name, "mount.", strlen("mount.")) == 0)
		return command_mount(argc, argv);
	const char *command = argc > 1 ? argv[1] : "";
	if (strcmp(command, "mount") == 0 && argc > 2 && strcmp(argv[2], "--help") == 0)
		command = argv[2];
	if (strcmp(command, "mount") == 0)
		return command_mount(argc - 1, argv + 1);
	if (strcmp(command, "status") == 0)
		return command_status(argc - 1, argv + 1);
	if (strcmp(command, "reload") == 0)
		return command_reload(argc - 1, argv + 1);
	if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0)
		return version();
	if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 ||
	    strcmp(command, "help") == 0) {
		fputs(usage, stdout);
		return EX_OK;
	}
	if (*command)
		fprintf(stderr, "certfs: there is no command '%s'\n", command);
	fputs(usage, stderr);
	return EX_USAGE;
}
