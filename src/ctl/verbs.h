/*
 * verbs.h - one verb, one file
 */
#ifndef CTL_VERBS_H
#define CTL_VERBS_H

#include "ctl/opt.h"

extern const struct verb verb_run;		/* run.c */
extern const struct verb verb_disk_new;		/* disk.c */
extern const struct verb verb_disk_info;
extern const struct verb verb_disk_export;
extern const struct verb verb_screenshot;	/* ask.c */
extern const struct verb verb_key;
extern const struct verb verb_type;
extern const struct verb verb_switch_new;	/* switch.c */
extern const struct verb verb_switch_list;
extern const struct verb verb_switch_set;
extern const struct verb verb_switch_port;
extern const struct verb verb_switch_remove;
extern const struct verb verb_switch_capture;	/* net.c */
extern const struct verb verb_switch_run;	/* switch.c */
extern const struct verb verb_net_show;		/* net.c */
extern const struct verb verb_net_list;		/* adapters.c */
extern const struct verb verb_net_add;
extern const struct verb verb_net_remove;
extern const struct verb verb_net_set;
extern const struct verb verb_dvd;		/* media.c */
extern const struct verb verb_floppy;
extern const struct verb verb_doctor;		/* doctor.c */
extern const struct verb verb_completion;	/* completion.c */

#endif
