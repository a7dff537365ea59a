<?php

// Your site: what differs from one installation to the next.  The rest is in config.inc.php beside this file.

// The server of the mail, by the name that is in its certificate, and its ports.
$site_host = 'mail.example.org';
$site_imaps = 993;
$site_submissions = 465;
$site_sieve = 4190;

// The public pages of statusd (statusd.listen_public, with statusd.password_change = yes).
$site_pages = 'https://mail.example.org';

// The certificates that may vouch for the server's.
$site_ca_file = '/etc/ssl/certs/ca-certificates.crt';

// What the webmail is called, and the domain of who logs in without one ('' if nobody may).
$config['product_name'] = 'Webmail';
$config['username_domain'] = 'example.org';

// The database, as Debian's package has made it.
include '/etc/roundcube/debian-db-roundcube.php';

// Where it logs: syslog, which journald takes, or file (in /var/log/roundcube).
$config['log_driver'] = 'syslog';

// Encrypts the passwords of those who are logged in.  24 characters of your own:
//     openssl rand -base64 18
$config['des_key'] = 'replace-these-24-letters';
