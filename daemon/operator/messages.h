/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The events that operators can look for (`journalctl MESSAGE_ID=…`) and read about
 * (`journalctl -x`): each has an entry in units/tproxyd.catalog, and a test holds the two lists
 * equal. An id is never given a second meaning; new ones come from `systemd-id128 new`.
 */

#define MSG_RULES_APPLIED      "d70408f3e31d4a53a3f7714ff27dcfda"
#define MSG_RULES_REMOVED      "dc628c58ae0e4848acd7698529f0f21d"
#define MSG_PROCESS_READY      "24c2369909dc41968adda69266cda1e3"
#define MSG_PROCESS_EXITED     "ec93de144d134edd9512cdad23e5e1b1"
#define MSG_RULES_RELEASED     "e94e62d3b33446b2850a80890eefeb60"
#define MSG_CONFIG_REJECTED    "f1cf0a67be1343e2a9d3e0f39b9bfccc"
#define MSG_FAMILY_SKIPPED     "06b70d03d7134d378f1229506f2d1d9b"
#define MSG_LOCK_CONTENTION    "912cccb816f3408083693a4b7bc78c9f"
#define MSG_FOREIGN_RULES      "6502f606966f416b9767cff38ac035dc"
#define MSG_DEGRADED           "226348e927494e20b4df1345de4bbeff"
#define MSG_START_TIMED_OUT    "dd50d375fb7d4487a3d11164c717e351"
#define MSG_RULES_REPAIRED     "ec5159dbba584c6f8df22bd86055163c"
#define MSG_RULES_CONTESTED    "d87ad292db47423aa5d5845d7fa24873"
#define MSG_CONFIRM_ASKED      "9e56d82fd1a2436385f7fb185d006bb6"
#define MSG_CONFIRMED          "3aa591dfa60344a7a4df60fd48be3eda"
#define MSG_UNCONFIRMED        "784721268d3d4085a81a6f35cbdf0a95"
#define MSG_PROCESS_RESTARTS   "ee469f13998349ce9ff45562595d2758"
#define MSG_RELOAD_UNCONFIRMED "912ae42ada5b4495b2511d756c724100"
#define MSG_TOKEN_EXPIRES      "c5f5403245724e12887e02bf86209287"
#define MSG_TOKEN_REPLACED     "5bb7ae82f1db4c3ca6f592a4a73ce737"
#define MSG_CONTROL_PLANE_LOST "4803626038314365ae5da69a382269d8"
#define MSG_CONTROL_PLANE_BACK "c1a80ac942ed4beaa27e7932b5a70dc0"
