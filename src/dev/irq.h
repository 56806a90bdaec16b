/*
 * irq.h - an interrupt line as an object
 *
 * The board hands a device its line; the device does not know its number.
 */
#ifndef DEV_IRQ_H
#define DEV_IRQ_H

#include <stdbool.h>
#include <stddef.h>

struct irq {
	void (*set)(void *self, unsigned pin, bool level);
	void *self;
	unsigned pin;
};

static inline void irq_set(const struct irq *line, bool level)
{
	if (line != NULL && line->set != NULL)
		line->set(line->self, line->pin, level);
}

#endif
