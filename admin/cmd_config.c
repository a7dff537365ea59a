/* config check, config list. */
#include <stdio.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "base/buf.h"
#include "base/settings.h"

/* Reads it as the daemons do; nothing is opened. */
static struct config *
load(const struct admin *a)
{
	struct buf errors = { 0 };
	struct config *config = config_load(a->config_path, &errors);

	if (config == NULL)
		fputs(buf_cstr(&errors), stderr);
	buf_free(&errors);
	return config;
}

static enum admin_status
check_run(struct admin *a)
{
	a->config = load(a);
	if (a->config == NULL)
		return ADMIN_REFUSED;
	printf("%s: all settings are valid\n", config_file(a->config));
	return ADMIN_DONE;
}

static void
add_value(struct buf *out, const struct config *config, const struct setting *s, const char *name)
{
	switch (s->type) {
	case SETTING_INTEGER: setting_number(s->type, config_integer(config, name), out); break;
	case SETTING_SIZE: setting_number(s->type, config_size(config, name), out); break;
	case SETTING_DURATION: setting_number(s->type, config_duration_s(config, name), out); break;
	case SETTING_BOOL: buf_adds(out, config_bool(config, name) ? "yes" : "no"); break;
	case SETTING_LISTEN:
	case SETTING_HOST: {
		const struct config_address *address = config_address(config, name);

		buf_adds(out, address != NULL ? address->text : "");
		break;
	}
	default: {
		const char *text = config_string(config, name);

		buf_adds(out, text != NULL ? text : "");
	}
	}
}

static json_t *
setting_row(const struct config *config, const struct setting *s)
{
	struct buf name = { 0 }, value = { 0 }, allowed = { 0 };
	json_t *row, *values = json_array();

	buf_printf(&name, "%s.%s", s->section, s->key);
	if (s->list) {
		for (size_t i = 0; i < config_count(config, buf_cstr(&name)); i++) {
			const char *text = config_string_at(config, buf_cstr(&name), i);

			buf_printf(&value, "%s%s", i > 0 ? " " : "", text);
			json_array_append_new(values, output_string(text));
		}
	} else {
		add_value(&value, config, s, buf_cstr(&name));
		if (value.len > 0)
			json_array_append_new(values, output_string(buf_cstr(&value)));
	}
	setting_allowed(s, &allowed);
	row = json_pack("{so so so si so so ss ss sb ss}", "name", output_string(buf_cstr(&name)),
	    "value", value.len > 0 ? output_string(buf_cstr(&value)) : json_null(), "values",
	    values, "line", (int)config_line(config, buf_cstr(&name)), "default",
	    output_string(s->def), "allowed", output_string(buf_cstr(&allowed)), "unit", s->unit,
	    "type", setting_type_name(s->type), "list", s->list, "help", s->help);
	buf_free(&name);
	buf_free(&value);
	buf_free(&allowed);
	return row;
}

static const struct output_column LIST_COLUMNS[] = {
	{ "name", "SETTING", OUTPUT_TEXT },
	{ "value", "VALUE", OUTPUT_TEXT },
	{ "default", "DEFAULT", OUTPUT_TEXT },
	{ "allowed", "ALLOWED", OUTPUT_TEXT },
};

static enum admin_status
list_run(struct admin *a)
{
	json_t *rows;

	a->config = load(a);
	if (a->config == NULL)
		return ADMIN_REFUSED;
	rows = json_array();
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
		json_array_append_new(rows, setting_row(a->config, &SETTINGS[i]));
	return output_list(rows, LIST_COLUMNS, ARRAY_LEN(LIST_COLUMNS), a->json) ? ADMIN_DONE
										 : ADMIN_REFUSED;
}

const struct admin_command admin_cmd_config_check = {
	.group = "config",
	.name = "check",
	.args = "",
	.summary = "Reads the configuration and names every mistake with its line.",
	.help = "Nothing else is looked at; mailadmin doctor checks what the settings point to.",
	.example = "mailadmin -c demo/sanger.conf config check",
	.before_config = true,
	.run = check_run,
};

const struct admin_command admin_cmd_config_list = {
	.group = "config",
	.name = "list",
	.args = "",
	.options = { { "--json", NULL, "as JSON, with line numbers and help" } },
	.summary = "Lists all settings: value in force, default, what is allowed.",
	.example = "mailadmin config list",
	.before_config = true,
	.run = list_run,
};
