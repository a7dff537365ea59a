require ["include", "fileinto"];
fileinto "Before";
include "returning";
fileinto "After";
