<?php

// Roundcube 1.6 for a Sanger mail store.  See webmail.md; what is your site's is in site.inc.php.

$config = [];

require __DIR__ . '/site.inc.php';

// Nothing goes over the wire in clear text, and to no other server than the one that is meant.
$site_tls = ['ssl' => [
    'verify_peer' => true,
    'verify_peer_name' => true,
    'peer_name' => $site_host,
    'cafile' => $site_ca_file,
]];

// --- mail

$config['imap_host'] = "ssl://{$site_host}:{$site_imaps}";
$config['imap_conn_options'] = $site_tls;
$config['imap_auth_type'] = 'PLAIN';
$config['imap_vendor'] = null;
$config['login_lc'] = 2;

$config['smtp_host'] = "ssl://{$site_host}:{$site_submissions}";
$config['smtp_conn_options'] = $site_tls;
$config['smtp_user'] = '%u';
$config['smtp_pass'] = '%p';
$config['smtp_auth_type'] = 'PLAIN';

// The mailboxes that mailadmin account add makes.
$config['drafts_mbox'] = 'Drafts';
$config['sent_mbox'] = 'Sent';
$config['junk_mbox'] = 'Junk';
$config['trash_mbox'] = 'Trash';
$config['archive_mbox'] = 'Archive';
$config['create_default_folders'] = false;
$config['quota_zero_as_unlimited'] = true;
$config['undo_timeout'] = 0;

// The server is quick enough: no second copy of its answers.
$config['imap_cache'] = null;
$config['messages_cache'] = false;

// --- plugins

$config['plugins'] = ['archive', 'managesieve', 'markasjunk', 'password', 'zipdownload'];

// Filters: the same Sieve scripts that mailadmin filter and other clients see.
$config['managesieve_host'] = "tls://{$site_host}:{$site_sieve}";
$config['managesieve_conn_options'] = $site_tls;
$config['managesieve_auth_type'] = 'PLAIN';
$config['managesieve_script_name'] = 'webmail';
$config['managesieve_default'] = '';
$config['managesieve_mbox_encoding'] = 'UTF-8';
$config['managesieve_vacation'] = 1;
$config['managesieve_vacation_interval'] = 0;

// New passwords: by the page that users may also open themselves.
$config['password_driver'] = 'httpapi';
$config['password_confirm_current'] = true;
$config['password_minimum_length'] = 10;	// as statusd.password_length_min
$config['password_httpapi_url'] = "{$site_pages}/password";
$config['password_httpapi_method'] = 'POST';
$config['password_httpapi_var_user'] = 'address';
$config['password_httpapi_var_curpass'] = 'current';
$config['password_httpapi_var_newpass'] = 'new';
$config['password_httpapi_expect'] = '/^The password is changed/';
$config['password_http_client'] = ['verify' => $site_ca_file, 'timeout' => 90];

// --- the pages

$config['skin'] = 'elastic';
$config['support_url'] = $site_pages;
$config['session_lifetime'] = 30;	// minutes
$config['session_samesite'] = 'Strict';
$config['enable_installer'] = false;
$config['prefer_html'] = true;
$config['show_images'] = 0;	// nothing is fetched from elsewhere without being asked for
