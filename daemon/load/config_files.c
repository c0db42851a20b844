/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/load/config_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/strbuf.h"
#include "common/config/yaml.h"
#include "daemon/os/fd.h"
#include "daemon/os/io.h"
#include "daemon/host/files.h"

#define IS_FIFO 1 /* in place of a negative errno */

static void cannot_read(struct config_files *files, const char *name, int code)
{
	struct origin origin = { .kind = ORIGIN_FILE, .name = name };

	if (code == IS_FIFO)
		diag_add(files->diags, SEVERITY_ERROR, &origin, NULL,
			 "is a FIFO: a file is needed, or - for standard input");
	else
		diag_add(files->diags, SEVERITY_ERROR, &origin, NULL, "cannot be read: %s",
			 strerror(-code));
}

/* Appends all that fd gives, up to one byte more than a file may have: that is refused later. */
static int read_all(struct config_files *files, int fd, const char *name)
{
	_strbuf_ struct strbuf text = { 0 };
	int ret = io_read_all(fd, YAML_SIZE_MAX, &text);
	char *copy;

	if (ret < 0)
		return ret;
	copy = arena_strndup(files->arena, strbuf_text(&text), text.len);
	if (copy)
		array_push(files->arena, files,
			   (struct layer_file){ .name = name, .text = copy, .len = text.len });
	return 0;
}

static int read_file(struct config_files *files, const char *path)
{
	_close_ int fd =
		open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (files->no_fifo ? O_NONBLOCK : 0));
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* Nobody may ever write to it. (kumactl takes one, as <(…) of a shell is.) */
	if (files->no_fifo && S_ISFIFO(st.st_mode))
		return IS_FIFO;
	return read_all(files, fd, path);
}

/* A file that the user named: it has to be there. */
static void read_named(struct config_files *files, const char *path)
{
	bool standard = strcmp(path, "-") == 0;
	int ret = 0;

	if (!standard)
		ret = read_file(files, path);
	else if (!files->stdin_read)
		ret = read_all(files, STDIN_FILENO, "standard input");
	files->stdin_read |= standard;
	if (ret != 0)
		cannot_read(files, path, ret);
}

static int is_yaml(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return entry->d_name[0] != '.' && dot && strcmp(dot, ".yaml") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_dropins(struct config_files *files)
{
	struct dirent **entries = NULL;
	int n = scandir(CONFIG_DROPIN, &entries, is_yaml, by_bytes);

	if (n < 0) {
		if (errno != ENOENT)
			cannot_read(files, CONFIG_DROPIN, -errno);
		return;
	}
	for (int i = 0; i < n; i++) {
		const char *path =
			arena_printf(files->arena, CONFIG_DROPIN "/%s", entries[i]->d_name);
		int ret = path ? read_file(files, path) : -ENOMEM;

		if (ret != 0)
			cannot_read(files, path ? path : CONFIG_DROPIN, ret);
		free(entries[i]);
	}
	free(entries);
}

static void read_system(struct config_files *files, const char *named)
{
	const char *variable = getenv("TPROXYD_CONFIG_FILE");
	int ret;

	if (!named && variable && *variable)
		named = variable;
	if (named) {
		read_named(files, named);
		return;
	}
	ret = read_file(files, CONFIG_FILE);
	if (ret != 0 && ret != -ENOENT)
		cannot_read(files, CONFIG_FILE, ret);
	read_dropins(files);
}

/* With the rights that root has in the unit: what the service could not read is not read here. */
void config_files_system(struct config_files *files, const char *named)
{
	cap_t saved = geteuid() == 0 ? cap_get_proc() : NULL;

	files->no_fifo = true;
	if (saved && host_file_override_drop() < 0) {
		(void)cap_free(saved);
		saved = NULL;
	}
	read_system(files, named);
	if (saved) {
		(void)cap_set_proc(saved);
		(void)cap_free(saved);
	}
}

static bool is_blank(const char *text)
{
	return !text[strspn(text, " \t\r\n")];
}

/* kumactl takes " - " for standard input too; blanks around a path belong to it. */
static const char *named(const char *text)
{
	const char *word = text + strspn(text, " \t\r\n");

	return *word == '-' && is_blank(word + 1) ? "-" : text;
}

/* Whether the value of --config is a configuration itself and no path. */
static bool is_inline(const char *text)
{
	return *text == '{' || strchr(text, '\n') || strstr(text, "\\n") || strstr(text, ": ");
}

/* Turns the two characters \n into a line break; JSON needs none, and has texts with \n in them. */
static void add_inline(struct config_files *files, const char *text)
{
	char *copy = arena_strdup(files->arena, text), *to = copy;

	if (!copy)
		return;
	for (const char *from = text; *from; from++) {
		if (*text != '{' && from[0] == '\\' && from[1] == 'n') {
			*to++ = '\n';
			from++;
		} else {
			*to++ = *from;
		}
	}
	*to = 0;
	array_push(files->arena, files,
		   (struct layer_file){
			   .name = "--config", .text = copy, .len = (size_t)(to - copy) });
}

void config_files_named(struct config_files *files, const char *config_file,
			const struct string_list *configs)
{
	if (config_file && !is_blank(config_file))
		read_named(files, named(config_file));
	for (size_t i = 0; i < configs->n; i++) {
		if (is_blank(configs->items[i]))
			continue;
		if (is_inline(configs->items[i]))
			add_inline(files, configs->items[i]);
		else
			read_named(files, named(configs->items[i]));
	}
}
