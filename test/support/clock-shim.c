/* Moves the wall clock of a process by the seconds that a file says, for LD_PRELOAD. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static long offset_in_seconds(void) {
  char text[32];
  const char *name = getenv("CLOCK_OFFSET_FILE");
  int file = name ? open(name, O_RDONLY) : -1;
  if (file < 0) return 0;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return 0;
  text[length] = 0;
  return atol(text);
}

int gettimeofday(struct timeval *time, void *zone) {
  int result = syscall(SYS_gettimeofday, time, zone);
  if (result == 0 && time) time->tv_sec += offset_in_seconds();
  return result;
}
