/* The release these programs are. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define SANGER_VERSION "1.0"

#endif
