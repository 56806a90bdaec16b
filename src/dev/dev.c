/*
 * dev.c - making and freeing a device
 *
 * Lock     none: while the board is built or taken down nothing runs
 */
#include "dev/dev.h"

#include <stdlib.h>

int dev_new(const struct dev_ops *ops, const struct dev_env *env, const void *conf,
	    void **ret_self, struct err *err)
{
	void *self = base_new0(ops->size);
	int rc;

	if (self == NULL)
		return err_set(err, -ENOMEM, "%s: out of memory", env->name);
	if (ops->init != NULL) {
		rc = ops->init(self, env, conf, err);
		if (rc < 0) {
			free(self);
			return err_prefix(err, rc, env->name);
		}
	}
	if (ops->reset != NULL)
		ops->reset(self);
	*ret_self = self;
	return 0;
}

void dev_free(const struct dev_ops *ops, void *self)
{
	if (self == NULL)
		return;
	if (ops->fini != NULL)
		ops->fini(self);
	free(self);
}
