/* secrets.h - TLS secrets: key log files as they grow, and what captures carry in themselves
 *
 * The format is NSS's (SSLKEYLOGFILE, draft-ietf-tls-keylogfile), a line each:
 *
 *     LABEL HEX-OF-CLIENT-RANDOM HEX-OF-SECRET
 *
 *     struct secrets *s = secrets_new();
 *     secrets_file(s, "keys.log", &err);           opened
 *     secrets_poll(s);                             read; again: what it has grown by
 *     secrets_text(s, text);                       a Decryption Secrets Block
 *     if (secrets_find(s, SECRET_MASTER, random, &secret)) …
 *
 * Any thread may find while another adds. The newest LIMIT_SECRETS are kept. What is freed is wiped; no secret is ever
 * printed or named in an error.
 */
#ifndef WHY502_SECRETS_H
#define WHY502_SECRETS_H

#include "err.h"
#include "span.h"

#include <stdbool.h>
#include <sys/types.h>

enum secret_label {
	SECRET_MASTER,                  /* TLS 1.2 and before: CLIENT_RANDOM */
	SECRET_CLIENT_EARLY, SECRET_CLIENT_HANDSHAKE, SECRET_SERVER_HANDSHAKE, SECRET_CLIENT_APPLICATION, SECRET_SERVER_APPLICATION,
	SECRET_SESSION,                 /* in no key log: a master secret under what resumes its session. See decode/tls_rsa.c */
	SECRET_LABELS
};

enum { SECRET_RANDOM = 32, SECRET_MAX = 64 };
struct secret { uint8_t len; uint8_t bytes[SECRET_MAX]; };

struct secrets;
struct rsa_keys;

struct secrets *secrets_new(void);              /* NULL: no memory */
void secrets_free(struct secrets *s);           /* wiped; NULL is allowed */

/* Opens a key log; nothing of it is read yet, as the sandbox is closed first. A name that cannot be opened is an error. */
enum err_code secrets_file(struct secrets *s, const char *path, struct err *e);
/* What the files have grown by since, the first time all of them. A file that was cut short begins anew; one that was
 * replaced (rotated) is opened. */
void secrets_poll(struct secrets *s);

/* A key log's name, and which file that was when it was last opened. keylog_open() returns 0 and a descriptor, EALREADY while
 * the same file is there, or errno. Where this process may open nothing any more, another does it, with a place of its own. */
struct keylog_place { const char *path; ino_t inode; dev_t device; bool known; };
int keylog_open(struct keylog_place *p, int *fd);
unsigned secrets_files(const struct secrets *s);
struct keylog_place secrets_place(const struct secrets *s, unsigned file);
void secrets_opened_by(struct secrets *s, int (*open)(void *ctx, unsigned file, int *fd), void *ctx);
void secrets_text(struct secrets *s, struct span keylog_text);

/* One that somebody worked out; an earlier one of this label and random gives way. */
void secrets_add(struct secrets *s, enum secret_label label, const uint8_t random[static SECRET_RANDOM], const struct secret *secret);
bool secrets_find(struct secrets *s, enum secret_label label, const uint8_t random[static SECRET_RANDOM], struct secret *out);
/* Lines of a key log with all that is known for this random, into `text`; returns their length, 0 where none is known. */
enum { SECRET_LINES_MAX = 6 * (40 + 2 * SECRET_RANDOM + 2 * SECRET_MAX) };
size_t secrets_lines(struct secrets *s, const uint8_t random[static SECRET_RANDOM], char text[static SECRET_LINES_MAX]);
/* May a secret still come after the packets it belongs to? (live, or the capture carries secrets of its own) */
bool secrets_may_come(struct secrets *s);
void secrets_set_may_come(struct secrets *s);
/* Private keys of servers, whose owner it becomes; NULL: none. */
void secrets_set_rsa(struct secrets *s, struct rsa_keys *keys);
struct rsa_keys *secrets_rsa(const struct secrets *s);
size_t secrets_count(struct secrets *s);
uint64_t secrets_dropped(struct secrets *s);    /* by the limit */
/* A key log that others than its owner can read: its name; NULL: none. */
const char *secrets_exposed(struct secrets *s);

#endif
