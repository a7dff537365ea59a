require ["fileinto", "imap4flags", "variables", "envelope", "subaddress", "mailbox", "body", "date", "relational", "copy"];
# The ten rules of a user: all are looked at, the last one files.
if header :contains "X-Spam-Flag" "YES" { fileinto "Junk"; stop; }
if address :is "from" ["boss@example.com", "chief@example.com"] { addflag "\\Flagged"; }
if allof (header :contains "subject" ["invoice", "rechnung"], not address :domain "from" "example.org") { fileinto "Bills"; stop; }
if header :matches "list-id" "*<*.lists.example.com>*" { set :lower "list" "${2}"; fileinto :create "Lists/${list}"; stop; }
if anyof (exists ["list-unsubscribe", "list-post"], header :is "precedence" ["bulk", "junk"]) { fileinto "News"; stop; }
if envelope :matches :detail "to" "?*" { set :upperfirst "detail" "${0}"; fileinto :create "${detail}"; stop; }
if size :over 5M { fileinto "Big"; stop; }
if date :value "lt" :originalzone "date" "year" "2000" { fileinto "Old"; stop; }
if body :contains ["unsubscribe here", "click this link"] { addflag "$Suspicious"; }
if header :matches "subject" "*oa*" { addflag "$Load"; fileinto :create "Load"; stop; }
