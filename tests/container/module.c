/* A PKCS#11 module that hangs: all is SoftHSM's, but no cipher is begun while the file HANG_FILE is there. */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

/* CK_FUNCTION_LIST of PKCS#11 2.40: functions in the order of the standard's header */
#define FUNCTIONS 68
#define ENCRYPT_INIT 29
#define DECRYPT_INIT 33
struct list {
  unsigned char version[2];
  void *functions[FUNCTIONS];
};
typedef unsigned long (*init)(unsigned long session, void *mechanism, unsigned long key);

static struct list ours, *theirs;

static unsigned long begin(int at, unsigned long session, void *mechanism, unsigned long key) {
  while (access(HANG_FILE, F_OK) == 0) usleep(10000);
  return ((init)theirs->functions[at])(session, mechanism, key);
}
static unsigned long encrypt_init(unsigned long s, void *m, unsigned long k) { return begin(ENCRYPT_INIT, s, m, k); }
static unsigned long decrypt_init(unsigned long s, void *m, unsigned long k) { return begin(DECRYPT_INIT, s, m, k); }

unsigned long C_GetFunctionList(struct list **list) {
  void *library = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW);
  unsigned long (*get)(struct list **) = library ? dlsym(library, "C_GetFunctionList") : NULL;
  if (!get || get(&theirs)) abort();
  ours = *theirs;
  ours.functions[ENCRYPT_INIT] = encrypt_init;
  ours.functions[DECRYPT_INIT] = decrypt_init;
  *list = &ours;
  return 0;
}
