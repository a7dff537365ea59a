/* Moving messages into Junk and out of it teaches the spam filter, if imapd.junk_training is on: store/training.h. */
#ifndef IMAPD_JUNK_TRAINING_H
#define IMAPD_JUNK_TRAINING_H

struct imap_place;
struct imap_session;
struct uidset;

/* Before messages of the selected mailbox are copied or moved to `to`: a MOVE takes the source away. */
void junk_training_learn(
    struct imap_session *s, const struct uidset *uids, const struct imap_place *to);

#endif
