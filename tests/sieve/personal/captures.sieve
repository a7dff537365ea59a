require ["fileinto", "variables"];
if header :matches "subject" "*meeting*" { fileinto "in [${1}]"; }
