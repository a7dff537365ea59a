/* The release these programs are. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define SANGER_VERSION "0.5.0" /* as in debian/changelog */

#endif
