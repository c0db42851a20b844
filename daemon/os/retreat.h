/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The way back of a program that was executed in the place of another one: until it has taken over, that
 * one can be executed again in the same process, with the state and the descriptors that it has handed
 * on. It is, where this one crashes, exits, or is not ready in time. Until then nothing that was handed
 * on may be closed or used up: whoever takes such a thing, and fails, leaves it alone.
 */

#include <stdbool.h>

#include "common/base/error.h"

/* In the environment of who is executed: the descriptor of the state (crossing.h); that of the former
 * program, which can be given the place back; to that one, why it was. */
#define RETREAT_STATE  "TPROXYD_STATE"
#define RETREAT_FORMER "TPROXYD_FORMER"
#define RETREAT_WHY    "TPROXYD_WHY"

/* The first act of a program: it has 5 s from now on, where there is a former one. The arguments are
 * those that the former one is given. */
void retreat_prepare(int argc, char *argv[]);

/* Whether there is a way back. */
bool retreat_is_open(void);

/* Goes it, because of this error. Returns where there is none. */
void retreat(const struct error *err);

/* It is not needed any more. */
void retreat_close(void);
