/*
 * control_net.c - requests of the control socket about network adapters
 *
 * Lock     none: the control socket's thread
 */
#include "ctl/control_priv.h"

#include "vm/vm.h"

#include <string.h>

#define ROWS_MAX (4 * VM_MAX_NICS)	/* with those that are leaving */

static json_t *json_of(const struct vm_adapter *a)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:b}", "name", a->name, "mac", a->mac, "net", a->net,
			 "legacy", a->legacy, "cable", a->cable, "link", a->link, "in-use", a->in_use,
			 "leaving", a->leaving);
}

/* A string of the request's; NULL and refused: there is none. */
static const char *text_of(const struct control_ask *k, const char *member)
{
	const char *text = json_string_value(json_object_get(k->request, member));
	struct err err;

	if (text != NULL)
		return text;
	err_fill(&err, "expected a string \"%s\"", member);
	control_refuse(k, &err);
	return NULL;
}

static bool has_network(const struct control_ask *k)
{
	struct err err;

	if (k->conf->vm != NULL)
		return true;
	err_fill(&err, "this machine takes no network adapters");
	control_refuse(k, &err);
	return false;
}

static void answer(const struct control_ask *k, int rc, const struct err *err)
{
	if (rc < 0)
		control_refuse(k, err);
	else
		k->a->json = control_ok();
}

void control_net_list(const struct control_ask *k)
{
	struct vm_adapter rows[ROWS_MAX];
	json_t *list;
	size_t nr;

	if (!has_network(k))
		return;
	nr = vm_net_list(k->conf->vm, rows, ARRAY_LEN(rows));
	list = json_array();
	for (size_t i = 0; i < nr; i++)
		json_array_append_new(list, json_of(&rows[i]));
	k->a->json = json_pack("{s:b, s:o}", "ok", 1, "adapters", list);
}

void control_net_add(const struct control_ask *k)
{
	const char *net = text_of(k, "net");
	struct vm_adapter row;
	struct err err = { "" };

	if (net == NULL || !has_network(k))
		return;
	if (vm_net_add(k->conf->vm, net, &row, &err) < 0)
		control_refuse(k, &err);
	else
		k->a->json = json_pack("{s:b, s:o}", "ok", 1, "adapter", json_of(&row));
}

void control_net_remove(const struct control_ask *k)
{
	const char *adapter = text_of(k, "adapter");
	struct err err = { "" };

	if (adapter != NULL && has_network(k))
		answer(k, vm_net_remove(k->conf->vm, adapter, &err), &err);
}

void control_net_set(const struct control_ask *k)
{
	const char *link = json_string_value(json_object_get(k->request, "link"));
	const char *net = json_string_value(json_object_get(k->request, "net"));
	const char *adapter = text_of(k, "adapter");
	struct err err = { "" };

	if (adapter == NULL || !has_network(k))
		return;
	if ((link == NULL) == (net == NULL))
		err_fill(&err, "expected a string \"link\" or a string \"net\", not both");
	else if (net != NULL)
		return answer(k, vm_net_move(k->conf->vm, adapter, net, &err), &err);
	else if (strcmp(link, "up") == 0 || strcmp(link, "down") == 0)
		return answer(k, vm_net_cable(k->conf->vm, adapter, *link == 'u', &err), &err);
	else
		err_fill(&err, "link \"%.40s\": expected up or down", link);
	control_refuse(k, &err);
}
