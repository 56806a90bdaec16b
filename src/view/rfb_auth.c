/*
 * rfb_auth.c - VNC's password scheme
 *
 * The client encrypts sixteen random bytes by DES with the password as key,
 * each byte's bits turned around.  It is weak (eight characters, no protection
 * of what follows), and what every viewer knows; for more, use a Unix socket
 * and ssh.  libcrypto's default provider has DES only as triple DES: with
 * three times the same key that is DES.
 *
 * Spec     [RFC 6143] 7.2.2
 * Lock     none
 */
#include "view/rfb.h"

#include <openssl/evp.h>
#include <string.h>

static uint8_t turned(uint8_t b)
{
	uint8_t r = 0;

	for (unsigned i = 0; i < 8; i++)
		r = (uint8_t)(r << 1 | (b >> i & 1));
	return r;
}

int rfb_respond(const char *password, const uint8_t challenge[16], uint8_t ret_r[16])
{
	size_t len = min_u64(strlen(password), RFB_PASSWORD);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t key[24] = { 0 };
	int n, rc = -EIO;

	if (ctx == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++)
		key[i] = key[i + 8] = key[i + 16] = turned((uint8_t)password[i]);
	if (EVP_EncryptInit_ex(ctx, EVP_des_ede3_ecb(), NULL, key, NULL) == 1 &&
	    EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
	    EVP_EncryptUpdate(ctx, ret_r, &n, challenge, 16) == 1 && n == 16)
		rc = 0;
	EVP_CIPHER_CTX_free(ctx);
	explicit_bzero(key, sizeof(key));
	return rc;
}
