/* tls_certificate.c - what a gateway would say of this certificate: its time, its names, who signed it
 *
 * Trust is not judged: which authorities a gateway trusts no packet tells.
 */
#include "tls.h"

#ifdef HAVE_OPENSSL

#include <openssl/x509v3.h>
#include <time.h>

static int64_t time_ns(const ASN1_TIME *a)
{
	struct tm tm = { 0 };
	int64_t seconds;

	if (a == NULL || ASN1_TIME_to_tm(a, &tm) != 1)
		return 0;
	seconds = (int64_t)timegm(&tm);         /* years beyond 2262 do not fit in ns: as good as never */
	return seconds > INT64_MAX / NS_PER_S ? INT64_MAX : seconds < INT64_MIN / NS_PER_S ? INT64_MIN : seconds * NS_PER_S;
}

/* RFC 2253's form, the common name first; bytes beyond ASCII as they are: who prints escapes. */
static void name_text(const X509_NAME *n, char *text, size_t size)
{
	BIO *b = BIO_new(BIO_s_mem());
	int len;

	text[0] = '\0';
	if (b == NULL)
		return;
	if (X509_NAME_print_ex(b, n, 0, XN_FLAG_SEP_COMMA_PLUS | XN_FLAG_DN_REV | XN_FLAG_FN_SN) >= 0) {
		len = BIO_read(b, text, (int)size - 1);
		text[len > 0 ? len : 0] = '\0';
	}
	BIO_free(b);
}

static void add_name(char *names, size_t size, struct span name)
{
	size_t used = strlen(names), comma = used != 0 ? 2 : 0;

	if (name.len == 0 || memchr(name.at, '\0', name.len) != NULL || used + comma + name.len >= size)
		return;
	if (comma != 0)
		memcpy(names + used, ", ", 2);
	memcpy(names + used + comma, name.at, name.len);
	names[used + comma + name.len] = '\0';
}

/* dNSName entries (RFC 5280 4.2.1.6), as many as there is room for. */
static void alternative_names(const X509 *x, char *names, size_t size)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(all) && strlen(names) + 4 < size; i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(all, i);

		if (n->type == GEN_DNS)
			add_name(names, size, span_of(ASN1_STRING_get0_data(n->d.dNSName), (size_t)ASN1_STRING_length(n->d.dNSName)));
	}
	GENERAL_NAMES_free(all);
}

void tls_certificate(struct tls_facts *f, struct span der, struct mark at)
{
	const unsigned char *p = der.at;
	X509 *x = d2i_X509(NULL, &p, (long)der.len);

	if (x == NULL)
		return;
	f->certificate_read = true;
	f->not_before_ns = time_ns(X509_get0_notBefore(x));
	f->not_after_ns = time_ns(X509_get0_notAfter(x));
	f->certificate_expired = f->not_after_ns != 0 && at.time_ns > f->not_after_ns;
	f->certificate_not_yet = f->not_before_ns != 0 && at.time_ns < f->not_before_ns;
	f->certificate_self_signed = X509_self_signed(x, 0) == 1;
	f->names[0] = '\0';
	name_text(X509_get_subject_name(x), f->subject, sizeof f->subject);
	name_text(X509_get_issuer_name(x), f->issuer, sizeof f->issuer);
	alternative_names(x, f->names, sizeof f->names);
	f->certificate_name_differs = f->sni_sent && X509_check_host(x, f->sni, 0, 0, NULL) == 0;
	X509_free(x);
}

#else

void tls_certificate(struct tls_facts *f, struct span der, struct mark at)
{
	(void)f;
	(void)der;
	(void)at;
}

#endif
