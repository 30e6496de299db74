/*
 * What the broker tells whoever supervises services, by the protocol of sd_notify(3): datagrams of
 * lines NAME=VALUE to the socket in $NOTIFY_SOCKET. It is small enough to need no libsystemd.
 */
#pragma once

/* Sends "READY=1", "STOPPING=1", "STATUS=..." or several, a line each. 1: sent; 0: nobody asked
 * for it; a negative errno, which is nobody's failure: services run without being watched, too. */
int notify_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
